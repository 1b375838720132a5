"""What `relay serve` prints first: listeners, policy, where things lie, and a line to paste."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from shutil import which
from typing import Final

from relay import __version__
from relay.cli.console import counted
from relay.cli.lab_scripts import told
from relay.cli.state import StateDir, default_state_dir
from relay.core.addresses import Domain
from relay.core.delivery import Policy
from relay.core.destinations import (
    RoutedTo,
    ToHosts,
    ToMailDomain,
    ToMxOrHost,
    ToRecipientDomain,
    ToScenario,
)
from relay.core.replies import ReplyMode
from relay.core.salesforce import EmailRelayTls
from relay.core.tls_policy import RuleOrigin
from relay.core.verdicts import Terminate
from relay.engine.relay import Relay
from relay.lab.catalogue import SCENARIOS
from relay.lab.outlook import foretell

_SEVERAL: Final = (ToHosts, ToMailDomain, ToMxOrHost, ToRecipientDomain)
"""Destinations that may have several hosts."""
_SENDER: Final = Domain("example.test")
"""The domain that `relay send` sends from unless it is told otherwise."""


def banner(relay: Relay, where: StateDir, program: str, web: Sequence[str] = ()) -> Iterator[str]:
    """Yield the lines; `program` is how this command was called, `web` tells of its other port."""
    policy = relay.policy
    yield f"Relaylab {__version__}"
    yield ""
    for endpoint in relay.endpoints:
        yield f"  {endpoint.kind.value:<11} {endpoint!s:<21} {endpoint.tls_state}"
    for at, line in enumerate(web):
        yield f"  {'' if at else 'web':<11} {line}"
    yield f"  {'lab':<11} {len(SCENARIOS)} scenarios, each at anyone@NAME.lab.test (relay lab list)"
    for line in told(relay.lab.scripts):
        yield f"  {'':<11} {line}"
    yield ""
    yield f"  {'policy':<11} {policy.source}"
    for line in _policy_lines(policy, relay.seed):
        yield f"  {'':<11} {line}"
    yield f"  {'journal':<11} {where.journal}"
    yield f"  {'bounces':<11} {where.bounce_lines}"
    yield ""
    yield "Paste this into another terminal; the message bounces at once:"
    yield f"  {command(where, program, f'send {bouncing_address(policy)}')}"
    yield ""
    what = "policy and fault scripts" if relay.lab.scripts else "the policy file"
    yield f"Ctrl-C stops; `relay policy reload` reads {what} again."


def command(where: StateDir, program: str, words: str) -> str:
    """Return a command line to paste, which finds this program and this state directory."""
    name = Path(program).name
    called = name if which(name) == str(Path(program).absolute()) else program
    line = f"{shlex.quote(called)} {words}"
    known = default_state_dir().absolute() if "RELAY_STATE" not in os.environ else where.path
    return line if where.path == known else f"{line} --state {shlex.quote(str(where.path))}"


def _named(policy: Policy) -> list[RoutedTo]:
    """Return the destinations that mail really goes to by the policy's own words."""
    if policy.routing.relay is not None:
        return [policy.routing.relay.to]
    relays = policy.routing.email_relays.relays.values()
    return [*(r.to for r in relays), *(rule.to for rule in policy.routing.routes.values())]


def _policy_lines(policy: Policy, seed: int) -> Iterator[str]:
    default = next(r for r in policy.tls.rules.values() if str(r.pattern) == "*")
    listed = [r for r in policy.tls.rules.values() if r.origin is RuleOrigin.RESTRICTION]
    rules = [r for r in policy.tls.rules.values() if r.origin is RuleOrigin.RULE]
    carrier = policy.routing.email_relays.carries_everything
    if carrier and policy.salesforce.email_relay_tls is EmailRelayTls.RELAY:
        yield f"{carrier.tls.setting.label}, the email relay's own setting"
    elif listed:
        setting = listed[0].policy.setting.label
        yield f"{setting} for {', '.join(str(r.pattern) for r in listed)}; Preferred elsewhere"
    else:
        yield f"{default.policy.setting.label} for every domain"
    if tested := sum(r.policy.in_effect != r.policy for r in policy.tls.rules.values()):
        every = tested == len(policy.tls.rules)
        what = "only tested" if every else f"{counted(tested, 'rule')} only tested"
        yield f"{what}: mail goes as under Preferred"
    if rules:
        yield f"{counted(len(rules), 'more specific rule')} (relay policy explain ADDRESS)"
    filters = sum(entry.active for entry in policy.routing.email_relays.filters)
    if policy.routing.in_front is not None:
        yield f"everything goes through {policy.routing.in_front}"
    elif filters:
        yield f"email relays carry what {counted(filters, 'domain filter')} lead there"
    if policy.routing.in_front is None and policy.routing.routes:
        yield f"{counted(len(policy.routing.routes), 'route')}; the rest is captured"
    if any(isinstance(to, _SEVERAL) for to in _named(policy)):
        yield f"chance among hosts of equal preference: --seed {seed}"
    match policy.delivery.reply:
        case ReplyMode.INLINE:
            yield "replies inline: the client is told the outcome itself"
        case ReplyMode.QUEUED:
            yield "replies 250 as soon as a message is queued; bounces follow"


def bouncing_address(policy: Policy) -> str:
    """Return an address whose mail this policy refuses; one that its host refuses, failing that.

    A domain that the policy itself names comes first, so that a newcomer sees that rule at work.
    """
    named = [
        Domain(f"sub.{rule.pattern.suffix}" if rule.pattern.wildcard else rule.pattern.suffix)
        for rule in policy.tls.rules.values()
        if rule.pattern.suffix is not None
    ]
    known = [Domain(SCENARIOS[name].mail_domain) for name in ("expired", "no-starttls")]
    for domain in (*named, *known):
        way = policy.way(domain, sender=_SENDER)
        to = way.route.to
        card = SCENARIOS.get(to.scenario) if isinstance(to, ToScenario) else None
        setting = way.tls.policy.setting
        if card is not None and isinstance(foretell(card, setting), Terminate):
            return f"anyone@{domain}"
    return f"nobody@{SCENARIOS['user-unknown'].mail_domain}"
