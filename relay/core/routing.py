"""Where a domain's mail goes: a relay, a route, the lab's zone, or capture.

    .invalid, where a switch says so ... dropped
    a domain filter that matches ....... its email relay
    one relay for everything ........... that one
    a route for the domain ............. its destination
    NAME.lab.test ...................... the lab's receiver of that name
    anything else ...................... the capture receiver

`Routing.match` chooses a destination by the policy alone. `route` turns it into a `Plan`: which
addresses, in which order, and the name that each one's certificate must bear. Pure: the engine asks
a resolver for the answers and hands them in.

A host that is this relay itself would bring the message back. It is left out with all that are not
preferred to it, for they would pass the message on to it (RFC 5321 section 5.1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, unique
from types import MappingProxyType
from typing import Final, assert_never

from relay.core.addresses import Domain, DomainPattern, candidate_patterns
from relay.core.destinations import (
    Destination,
    RoutedTo,
    ToCapture,
    ToMailDomain,
    ToMxOrHost,
    ToNowhere,
    ToRecipientDomain,
    ToScenario,
)
from relay.core.email_relays import DomainFilter, EmailRelay, EmailRelays
from relay.core.outcomes import DnsFailure, DnsProblem, Failure
from relay.core.places import Place
from relay.core.salesforce import InvalidDomains, OnTlsFailure
from relay.core.settings import TlsMode

LAB_DOMAIN: Final = Domain("lab.test")
"""The lab's zone; the top-level domain is reserved for tests (RFC 6761 section 6.2)."""
_INVALID: Final = (Domain("invalid"), ".invalid")
"""The zone without any name (RFC 6761 section 6.4), and how its domains end."""


@unique
class RouteOrigin(Enum):
    """Which part of a policy chose the destination."""

    ROUTE = "route"
    RELAY = "relay"
    EMAIL_RELAY = "email-relay"
    INVALID_DOMAIN = "invalid-domain"
    LAB_ZONE = "lab-zone"
    CAPTURE = "capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """One entry of `routes`."""

    pattern: DomainPattern
    to: RoutedTo
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """The destination that a domain's mail goes to, and what chose it.

    `email_relay` is the relay that the domain filter `by` leads to; `of_all` tells whether all mail
    goes there.
    """

    to: Destination
    origin: RouteOrigin
    pattern: DomainPattern | None = None
    place: Place | None = None
    email_relay: EmailRelay | None = None
    by: DomainFilter | None = None
    of_all: bool = False

    @property
    def by_policy(self) -> bool:
        """Whether the policy's own words chose it, not what holds without any."""
        return self.origin is not RouteOrigin.LAB_ZONE and self.origin is not RouteOrigin.CAPTURE

    @property
    def reason(self) -> str:
        """Why this destination, as a sentence without a full stop."""
        match self.origin:
            case RouteOrigin.ROUTE:
                return f"the route for {self.pattern}"
            case RouteOrigin.RELAY:
                return "one relay carries everything"
            case RouteOrigin.EMAIL_RELAY:
                assert self.email_relay is not None
                whose = f"the email relay {self.email_relay.name}"
                if self.of_all:
                    return f"everything goes through {whose}, by {self.by}"
                return f"{self.by} leads to {whose}"
            case RouteOrigin.INVALID_DOMAIN:
                return "mail to a domain below .invalid is dropped, and reads as sent"
            case RouteOrigin.LAB_ZONE:
                return f"the domain names a scenario of the lab ({LAB_DOMAIN})"
            case RouteOrigin.CAPTURE:
                return "no route names this domain, so the capture receiver takes it"
            case _:
                assert_never(self.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHost:
    """The `relay:` of a policy: one destination that carries everything."""

    to: RoutedTo
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class NameServer:
    """A name server by its numeric address."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    """Whom to ask for MX records and the addresses behind them; without `server`, the system's.

    `timeout` bounds finding all hosts of one domain.
    """

    server: NameServer | None = None
    timeout: timedelta = timedelta(seconds=5)


@unique
class ClearText(Enum):
    """When clear text, where the TLS policy allows it at all, comes before another host.

    The value is its spelling in a policy; NEVER is no choice there: it is what a TLS policy that
    allows no clear text amounts to.
    """

    AFTER_ALL_HOSTS = "after-all-hosts"
    """Only when every host was asked for TLS in vain."""
    SAME_HOST = "same-host"
    """At once, to the host that failed: its preference counts for more than TLS does."""
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """A policy's relays and routes.

    With `relay`, routes are not looked at: everything goes through it. An email relay comes before
    either, for the mail that a domain filter leads there.
    """

    routes: Mapping[DomainPattern, RouteRule] = field(default_factory=lambda: MappingProxyType({}))
    relay: RelayHost | None = None
    email_relays: EmailRelays = field(default_factory=EmailRelays)
    invalid_domains: InvalidDomains = InvalidDomains.TRY
    dns: Dns = field(default_factory=Dns)
    clear_text: ClearText = ClearText.AFTER_ALL_HOSTS

    def match(self, domain: Domain, *, sender: Domain | None) -> RouteMatch:
        """Return where mail for `domain` goes; there is always somewhere.

        `sender` is the domain of the reverse path, None for the null one.
        """
        below_invalid = domain == _INVALID[0] or domain.endswith(_INVALID[1])
        if below_invalid and self.invalid_domains is InvalidDomains.DISCARD:
            return RouteMatch(to=ToNowhere(), origin=RouteOrigin.INVALID_DOMAIN)
        by = self.email_relays.match(domain, sender)
        if by is not None:
            relay = self.email_relays.relays[by.relay]
            return RouteMatch(
                to=relay.to,
                origin=RouteOrigin.EMAIL_RELAY,
                place=by.place,
                email_relay=relay,
                by=by,
                of_all=self.in_front is not None,
            )
        if self.relay is not None:
            return RouteMatch(
                to=_destination(self.relay.to, domain),
                origin=RouteOrigin.RELAY,
                place=self.relay.place,
            )
        for pattern in candidate_patterns(domain):
            rule = self.routes.get(pattern)
            if rule is not None:
                return RouteMatch(
                    to=_destination(rule.to, domain),
                    origin=RouteOrigin.ROUTE,
                    pattern=rule.pattern,
                    place=rule.place,
                )
        name, _, zone = domain.partition(".")
        if zone == LAB_DOMAIN:
            return RouteMatch(to=ToScenario(scenario=name), origin=RouteOrigin.LAB_ZONE)
        return RouteMatch(to=ToCapture(), origin=RouteOrigin.CAPTURE)

    @property
    def in_front(self) -> str | None:
        """The one relay that all mail goes through, in words; None where there is none."""
        if self.relay is not None:
            return f"one relay: {self.relay.to}"
        relay = self.email_relays.carries_everything
        return None if relay is None else f"the email relay {relay.name}: {relay.to}"


def _destination(to: RoutedTo, domain: Domain) -> Destination:
    return to.of(domain) if isinstance(to, ToRecipientDomain) else to


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAddress:
    """One answer of a resolver: `name` is what a certificate must bear, `address` is numeric."""

    name: str
    address: str
    port: int
    mode: TlsMode
    preference: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """A next hop to connect to; `host` is the name that its certificate must bear."""

    host: str
    address: str
    port: int
    mode: TlsMode = TlsMode.STARTTLS

    def __str__(self) -> str:
        where = f"[{self.address}]:{self.port}"
        return where if self.host == self.address else f"{self.host}{where}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrySchedule:
    """When a deferred recipient is tried again.

    `delays` are the gaps between tries; `expire_after` counts from acceptance. Both are real time:
    a policy's `time_scale` has been divided out when the file was loaded. No delays: one try.
    """

    delays: tuple[timedelta, ...] = ()
    expire_after: timedelta | None = None


ONE_TRY: Final = RetrySchedule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which hosts to try for one domain, in order, and when again.

    Without hosts, `problem` says why there are none. `on_tls_failure` tells whether a failure of
    TLS is worth another try.
    """

    hops: tuple[Hop, ...]
    problem: Failure
    schedule: RetrySchedule = ONE_TRY
    clear_text: ClearText = ClearText.AFTER_ALL_HOSTS
    on_tls_failure: OnTlsFailure = OnTlsFailure.RETRY

    @property
    def clear_text_waits(self) -> bool:
        """Whether a host without TLS gets nothing until the others were asked for it."""
        return self.clear_text is ClearText.AFTER_ALL_HOSTS and len(self.hops) > 1


def route(
    to: Destination,
    answers: Sequence[HostAddress] | Failure,
    schedule: RetrySchedule,
    *,
    ours: Set[HostAddress] = frozenset(),
    clear_text: ClearText = ClearText.AFTER_ALL_HOSTS,
    on_tls_failure: OnTlsFailure = OnTlsFailure.RETRY,
) -> Plan:
    """Order a resolver's answers by preference (RFC 5321 section 5.1), equal ones as given.

    A resolver that has none for `to` hands in the reason instead. `ours` are those answers that are
    listeners of this relay.
    """
    name = to.domain if isinstance(to, ToMailDomain | ToMxOrHost) else str(to)
    hosts: Sequence[HostAddress] = ()
    match answers:
        case Sequence():
            nearest = min((a.preference for a in answers if a in ours), default=None)
            hosts = [a for a in answers if nearest is None or a.preference < nearest]
            none_left = DnsProblem.NO_HOST if nearest is None else DnsProblem.LOOPS_BACK
            problem: Failure = DnsFailure(problem=none_left, name=name)
        case _:
            problem = answers
    ordered = sorted(hosts, key=lambda host: host.preference)
    return Plan(
        hops=tuple(Hop(host=h.name, address=h.address, port=h.port, mode=h.mode) for h in ordered),
        problem=problem,
        schedule=schedule,
        clear_text=clear_text,
        on_tls_failure=on_tls_failure,
    )
