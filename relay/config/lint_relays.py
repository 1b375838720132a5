"""Warns of what is allowed about email relays and domain filters but surprises people."""

from __future__ import annotations

from collections.abc import Iterator

from relay.config.policy_file import LoadedPolicy
from relay.config.problems import KeyPath, Problem, warning
from relay.core.destinations import ToHost, ToMxOrHost
from relay.core.email_relays import RELAY_PORTS, DomainFilter
from relay.core.replies import ReplyMode
from relay.core.salesforce import BounceRule, InvalidDomains, OnTlsFailure


def lint_relays(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Yield the warnings of a policy's relays, filters and switches."""
    yield from _relays(loaded)
    yield from _filters_without_effect(loaded)
    yield from _switches(loaded)
    yield from _reverse_paths(loaded)
    yield from _rule_of_bounces(loaded)


def _at(loaded: LoadedPolicy, path: KeyPath, message: str, hint: str) -> Problem:
    return warning(loaded.tree.place(path), path, message, hint)


def _relays(loaded: LoadedPolicy) -> Iterator[Problem]:
    relays = loaded.policy.routing.email_relays
    inert = {relay.name for relay in relays.inert()}
    for index, written in enumerate(loaded.shape.email_relays or []):
        path: KeyPath = ("email_relays", index)
        if written.name in inert:
            yield _at(
                loaded,
                (*path, "name"),
                f"the relay {written.name!r} is inert: no active domain filter leads to it",
                "give it one under 'domain_filters'; without 'from' and 'to' it takes everything",
            )
        to = relays.relays[written.name].to
        if isinstance(to, ToHost | ToMxOrHost) and to.port not in RELAY_PORTS:
            yield _at(
                loaded,
                (*path, "port"),
                f"Salesforce has no port {to.port} for an email relay",
                f"it offers {', '.join(map(str, RELAY_PORTS))}",
            )
        if written.auth is not None and written.auth.password is not None:
            yield _at(
                loaded,
                (*path, "auth", "password"),
                "the password stands in the policy file itself",
                "use password_env or password_file",
            )


def _filters_without_effect(loaded: LoadedPolicy) -> Iterator[Problem]:
    by_place = {entry.place: entry for entry in loaded.policy.routing.email_relays.filters}
    for index, _ in enumerate(loaded.shape.domain_filters or []):
        path: KeyPath = ("domain_filters", index)
        entry = by_place[loaded.tree.place((*path, "relay"))]
        first = _takes_all_before(loaded, entry)
        if entry.active and first is not None:
            yield _at(
                loaded,
                path,
                f"the filter changes nothing: filter {first.priority} takes everything before it",
                "give it a lower priority, or remove it",
            )


def _takes_all_before(loaded: LoadedPolicy, entry: DomainFilter) -> DomainFilter | None:
    return next(
        (
            other
            for other in loaded.policy.routing.email_relays.filters
            if other.takes_everything and other.priority < entry.priority
        ),
        None,
    )


def _switches(loaded: LoadedPolicy) -> Iterator[Problem]:
    policy = loaded.policy
    if policy.routing.invalid_domains is InvalidDomains.DISCARD:
        yield _at(
            loaded,
            ("salesforce", "invalid_domains"),
            "mail to a domain below .invalid is dropped and reads as sent: nobody is told",
            "'try' lets it bounce",
        )
    at_once = policy.salesforce.on_tls_failure is OnTlsFailure.BOUNCE_AT_ONCE
    if at_once and policy.delivery.reply is ReplyMode.INLINE:
        yield _at(
            loaded,
            ("salesforce", "on_tls_failure"),
            "this changes nothing: an inline reply comes after one try",
            "add 'reply: queued', or remove the key",
        )


def _reverse_paths(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Find reverse paths of our own on the way through a relay (Knowledge 000250391)."""
    routing, switches = loaded.policy.routing, loaded.policy.salesforce
    relays = routing.email_relays
    through = routing.in_front is not None or len(relays.inert()) < len(relays.relays)
    if switches.reverse_path_domain is None or not through:
        return
    key = "spf_compliance" if switches.bounces is None else "bounce_management"
    yield warning(
        loaded.tree.key_place(("salesforce", key)),
        ("salesforce", key),
        f"mail reaches the relay with reverse paths of {switches.reverse_path_domain}, which is "
        "not the sender's domain: a relay that checks SPF may refuse them",
        "Salesforce advises to switch bounce management and compliance off behind a relay",
    )


def _rule_of_bounces(loaded: LoadedPolicy) -> Iterator[Problem]:
    written = loaded.shape.salesforce and loaded.shape.salesforce.bounce_management
    if written and written.flag_contact_on and written.rule is BounceRule.PARDOT:
        yield _at(
            loaded,
            ("salesforce", "bounce_management", "flag_contact_on"),
            "this changes nothing: under 'rule: pardot' hard bounces flag at once and soft ones "
            "from the fifth on",
            "remove one of both",
        )
