"""Warns of what is allowed in a policy file but surprises people."""

from __future__ import annotations

from collections.abc import Iterator

from relay.config.lint_relays import lint_relays
from relay.config.policy_file import LoadedPolicy
from relay.config.problems import KeyPath, Problem, sorted_problems, warning
from relay.config.values import is_address
from relay.core.addresses import EVERY_DOMAIN, Domain, DomainPattern, covering_patterns
from relay.core.destinations import (
    RoutedTo,
    ToHost,
    ToHosts,
    ToMailDomain,
    ToMxOrHost,
    ToRecipientDomain,
)
from relay.core.places import Place
from relay.core.replies import ReplyMode
from relay.core.settings import (
    OnBadCertificate,
    OnNoTls,
    PolicyMode,
    TlsMode,
    TlsSetting,
    TlsVersion,
)
from relay.core.tls_policy import PolicyTable, RuleOrigin, TlsPolicy, TlsRule, TrustAnchors

_OLD_VERSIONS = frozenset({TlsVersion.TLS1_0, TlsVersion.TLS1_1})


def lint(loaded: LoadedPolicy) -> tuple[Problem, ...]:
    """Return the warnings of a policy that loads, in the file's order."""
    return sorted_problems(
        [
            *_nothing_said(loaded),
            *_settings(loaded),
            *_nothing_to_test(loaded),
            *_rules_without_effect(loaded),
            *_restrictions_without_effect(loaded),
            *_routes_without_effect(loaded),
            *_destinations(loaded),
            *_dns_without_effect(loaded),
            *_old_versions(loaded),
            *_retry_under_inline(loaded),
            *lint_relays(loaded),
        ]
    )


def _at(loaded: LoadedPolicy, path: KeyPath, message: str, hint: str) -> Problem:
    return warning(loaded.tree.place(path), path, message, hint)


def _nothing_said(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Find a file without a single key, such as one that was cut off."""
    if not loaded.shape.model_fields_set:
        default = loaded.tls.default.setting.label
        message = f"the file sets nothing: all mail is under the default, {default}"
        yield _at(loaded, (), message, f'write "tls: {default}" if that is meant')


def _settings(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Say of each setting as written what it lets through."""
    shape, tls = loaded.shape, loaded.tls
    for index, relay in enumerate(shape.email_relays or []):
        if relay.tls is not None:
            yield from _setting(loaded, ("email_relays", index, "tls"), relay.tls)
    used = _default_is_used(loaded)
    if used and shape.tls is not None:
        yield from _setting(loaded, ("tls",), shape.tls)
    if shape.tls is TlsSetting.OFF:
        yield _at(
            loaded,
            ("tls",),
            "Salesforce may have Off for email relays alone: its documents disagree on whether the "
            "Deliverability page offers it",
            "Preferred is what an org has that nobody has changed",
        )
    if used and _trusts_nobody(tls.default):
        yield _at(loaded, ("trust",), *_NOBODY)
    for index, rule in enumerate(shape.rules or []):
        if rule.tls is not None:
            yield from _setting(loaded, ("rules", index, "tls"), rule.tls)
        entry = loaded.policy.tls.rules[rule.match]
        if rule.trust is not None and _trusts_nobody(entry.policy):
            yield _at(loaded, ("rules", index, "trust"), *_NOBODY)


def _nothing_to_test(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Find modes of settings that never refuse anything."""
    hint = "remove the mode, or give the setting that is to be tested, such as Required"
    default = loaded.tls.default
    if loaded.shape.mode is PolicyMode.TESTING and not _tests(loaded):
        message = f"there is nothing to test: {default.setting.label} refuses nothing"
        yield _at(loaded, ("mode",), message, hint)
    for index, rule in enumerate(loaded.shape.rules or []):
        held = loaded.policy.tls.rules[rule.match].policy
        if rule.mode is PolicyMode.TESTING and not held.can_refuse:
            message = f"there is nothing to test: {held.setting.label} refuses nothing"
            yield _at(loaded, ("rules", index, "mode"), message, hint)


def _tests(loaded: LoadedPolicy) -> bool:
    entries = loaded.policy.tls.rules.values()
    return any(entry.policy.in_effect != entry.policy for entry in entries)


_NOBODY = (
    "no authority is trusted, so that every certificate is refused",
    "name at least one of lab, system or a file",
)


def _trusts_nobody(policy: TlsPolicy) -> bool:
    trust = policy.trust
    return policy.verifies and trust == TrustAnchors(
        lab=False, system=False, crl_files=trust.crl_files
    )


def _setting(loaded: LoadedPolicy, path: KeyPath, setting: TlsSetting) -> Iterator[Problem]:
    match setting:
        case TlsSetting.REQUIRED if loaded.tls.required is OnBadCertificate.IGNORE:
            yield _at(
                loaded,
                path,
                "Required encrypts but does not verify: an expired, self-signed or wrong "
                "certificate is accepted",
                "Required Verify refuses them",
            )
        case TlsSetting.PREFERRED_VERIFY:
            yield _at(
                loaded,
                path,
                "Preferred Verify goes on in clear text when the host has no TLS or the handshake "
                "fails, as anyone on the way can make it do",
                "Required Verify never does",
            )
        case _:
            pass


def _default_is_used(loaded: LoadedPolicy) -> bool:
    origins = {entry.origin for entry in loaded.policy.tls.rules.values()}
    return bool(origins & {RuleOrigin.DEFAULT, RuleOrigin.RESTRICTION})


def _rules_without_effect(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Find rules that say what would hold without them, and a default that never holds."""
    table = loaded.policy.tls
    restricted = {entry.pattern for entry in loaded.tls.restrictions}
    for index, rule in enumerate(loaded.shape.rules or []):
        path: KeyPath = ("rules", index, "match")
        entry = table.rules[rule.match]
        if rule.match == EVERY_DOMAIN and rule.tls is not None:
            held = "the restriction to listed domains" if restricted else "the policy's own tls"
            yield _at(
                loaded,
                path,
                f"this rule is for every domain, so that {held} does not decide for others",
                "set the policy's own tls instead",
            )
        elif rule.match != EVERY_DOMAIN and entry.policy == _inherited(loaded, entry):
            yield _at(
                loaded,
                path,
                f"the rule changes nothing: without it, {rule.match} has the same",
                "remove the rule, or give it what it is meant to change",
            )


def _inherited(loaded: LoadedPolicy, entry: TlsRule) -> TlsPolicy:
    """Return what would hold for the entry's domains without it."""
    if any(restriction.pattern == entry.pattern for restriction in loaded.tls.restrictions):
        return loaded.tls.default
    table = loaded.policy.tls.rules
    return next(table[p].policy for p in covering_patterns(entry.pattern) if p in table)


def _restrictions_without_effect(loaded: LoadedPolicy) -> Iterator[Problem]:
    listed = {entry.pattern for entry in loaded.tls.restrictions}
    for index, entry in enumerate(loaded.tls.restrictions):
        wider = next((p for p in covering_patterns(entry.pattern) if p in listed), None)
        if wider is not None:
            yield warning(
                entry.place,
                ("restrict_tls_to", index),
                f"{entry.pattern} is among {wider} already",
                "remove one of both",
            )


def _routes_without_effect(loaded: LoadedPolicy) -> Iterator[Problem]:
    routing = loaded.policy.routing
    if routing.in_front is not None and routing.routes:
        yield warning(
            loaded.tree.key_place(("routes",)),
            ("routes",),
            "the routes are not used: one relay carries everything",
            "remove the routes, or the relay",
        )
        return
    for index, route in enumerate(loaded.shape.routes or []):
        covering = (routing.routes.get(pattern) for pattern in covering_patterns(route.match))
        wider = next((other for other in covering if other is not None), None)
        if wider is not None and wider.to == routing.routes[route.match].to:
            yield _at(
                loaded,
                ("routes", index, "match"),
                f"the route changes nothing: {wider.pattern} goes to {wider.to} already",
                "remove the route",
            )


def _destinations(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Look at each host together with the policies of the domains whose mail goes there."""
    routing = loaded.policy.routing
    if routing.relay is not None:
        everything = tuple(rule.policy for rule in loaded.policy.tls.rules.values())
        yield from _destination(loaded, ("relay",), routing.relay.to, everything)
        return
    for index, route in enumerate(loaded.shape.routes or []):
        path: KeyPath = ("routes", index, "to")
        policies = _policies_within(loaded.policy.tls, route.match)
        yield from _destination(loaded, path, routing.routes[route.match].to, policies)
    for index, written in enumerate(loaded.shape.email_relays or []):
        relay = routing.email_relays.relays[written.name]
        yield from _destination(loaded, ("email_relays", index, "host"), relay.to, (relay.tls,))


def _dns_without_effect(loaded: LoadedPolicy) -> Iterator[Problem]:
    routing = loaded.policy.routing
    routed = [routing.relay.to] if routing.relay else [rule.to for rule in routing.routes.values()]
    named = (*routed, *(relay.to for relay in routing.email_relays.relays.values()))
    if loaded.shape.dns is None or any(
        isinstance(to, ToMailDomain | ToMxOrHost | ToRecipientDomain) for to in named
    ):
        return
    yield warning(
        loaded.tree.key_place(("dns",)),
        ("dns",),
        "no name server is asked: no destination goes by MX records",
        "give a route 'to: mx', or remove the key",
    )


def _policies_within(table: PolicyTable, pattern: DomainPattern) -> tuple[TlsPolicy, ...]:
    """Return the policies that can hold for a domain that `pattern` stands for."""
    if not pattern.wildcard:
        return (table.match(Domain(str(pattern))).rule.policy,)
    itself = next(
        table.rules[p].policy for p in (pattern, *covering_patterns(pattern)) if p in table.rules
    )
    narrower = (rule.policy for rule in table.rules.values() if pattern.covers(rule.pattern))
    return (itself, *narrower)


def _destination(
    loaded: LoadedPolicy, path: KeyPath, to: RoutedTo, policies: tuple[TlsPolicy, ...]
) -> Iterator[Problem]:
    match to:
        case ToHost():
            yield from _host(loaded.tree.place(path), path, to, policies)
        case ToHosts(hosts=hosts):
            for index, host in enumerate(hosts):
                yield from _destination(loaded, (*path, index), host.to, policies)
        case _:
            pass


def _host(
    place: Place, path: KeyPath, to: ToHost, policies: tuple[TlsPolicy, ...]
) -> Iterator[Problem]:
    wants_name = (p for p in policies if p.verifies and not p.names.extra)
    verifying = next((p for p in wants_name if not p.names.recipient_domain), None)
    if verifying is not None and is_address(to.host):
        yield warning(
            place,
            path,
            f"{verifying.setting.label} compares the certificate with {to.host}, an IP address, "
            "which few certificates bear",
            "give the host's name, or the certificate's names under `names`",
        )
    if to.mode is TlsMode.IMPLICIT:
        if any(p.setting is TlsSetting.OFF for p in policies):
            yield warning(
                place,
                path,
                f"{to} is encrypted even under Off: with implicit TLS there is no clear text",
                "use smtp:// for a session in clear text",
            )
        elif any(p.on_no_tls is OnNoTls.CLEAR for p in policies):
            yield warning(
                place,
                path,
                f"{to} has no clear text to fall back to: without TLS nothing is delivered",
                "use smtp:// where clear text is to be the second choice",
            )


def _old_versions(loaded: LoadedPolicy) -> Iterator[Problem]:
    written: list[tuple[KeyPath, TlsVersion | None]] = [
        (("minimum_tls",), loaded.shape.minimum_tls)
    ]
    for index, rule in enumerate(loaded.shape.rules or []):
        written.append((("rules", index, "minimum_tls"), rule.minimum_tls))
    for path, version in written:
        if version in _OLD_VERSIONS:
            yield _at(
                loaded,
                path,
                f"TLS {version.value} is deprecated (RFC 8996); Salesforce wants 1.2 or later",
                "leave it out for 1.2",
            )


def _retry_under_inline(loaded: LoadedPolicy) -> Iterator[Problem]:
    inline = loaded.policy.delivery.reply is ReplyMode.INLINE
    written = loaded.shape.retry
    if inline and written is not None and getattr(written, "delays", True) != ():
        yield warning(
            loaded.tree.key_place(("retry",)),
            ("retry",),
            "the retry schedule is not used: an inline reply comes after one try",
            "add 'reply: queued', or remove the schedule",
        )
