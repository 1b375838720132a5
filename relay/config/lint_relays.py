"""Warns of what is allowed about email relays and domain filters but surprises people."""

from __future__ import annotations

from collections.abc import Iterator

from relay.config.policy_file import LoadedPolicy
from relay.config.problems import KeyPath, Problem, warning
from relay.core.destinations import ToHost, ToMxOrHost
from relay.core.email_relays import RELAY_PORTS, DomainFilter
from relay.core.records import ReplyMode
from relay.core.salesforce import InvalidDomains, OnTlsFailure


def lint_relays(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Yield the warnings of a policy's relays, filters and switches."""
    yield from _relays(loaded)
    yield from _filters_without_effect(loaded)
    yield from _switches(loaded)


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
