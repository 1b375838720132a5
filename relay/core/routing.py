"""Where a domain's mail goes: routes, one relay for everything, the lab's zone, or capture.

`Routing.match` chooses a destination by the policy alone. `route` turns it into a `Plan`: which
addresses, in which order, and the name that each one's certificate must bear. Pure: the engine asks
a resolver for the answers and hands them in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, unique
from types import MappingProxyType
from typing import Final, Literal, assert_never

from relay.core.addresses import Domain, DomainPattern, candidate_patterns
from relay.core.outcomes import DnsFailure, DnsProblem, Failure
from relay.core.places import Place
from relay.core.settings import TlsMode

LAB_DOMAIN: Final = Domain("lab.test")
"""The lab's zone; the top-level domain is reserved for tests (RFC 6761 section 6.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToScenario:
    """A receiver of the lab, by its scenario's name."""

    kind: Literal["lab"] = "lab"
    scenario: str

    def __str__(self) -> str:
        return f"lab/{self.scenario}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToHost:
    """A host by name or address."""

    kind: Literal["host"] = "host"
    host: str
    port: int = 25
    mode: TlsMode = TlsMode.STARTTLS

    def __str__(self) -> str:
        scheme = "smtps://" if self.mode is TlsMode.IMPLICIT else "smtp://"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCapture:
    """The built-in receiver that keeps everything, with honest TLS."""

    kind: Literal["capture"] = "capture"

    def __str__(self) -> str:
        return "capture"


Destination = ToScenario | ToHost | ToCapture


@unique
class RouteOrigin(Enum):
    """Which part of a policy chose the destination."""

    ROUTE = "route"
    RELAY = "relay"
    LAB_ZONE = "lab-zone"
    CAPTURE = "capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRule:
    """One entry of `routes`."""

    pattern: DomainPattern
    to: Destination
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteMatch:
    """The destination that a domain's mail goes to, and what chose it."""

    to: Destination
    origin: RouteOrigin
    pattern: DomainPattern | None = None
    place: Place | None = None

    @property
    def reason(self) -> str:
        """Why this destination, as a sentence without a full stop."""
        match self.origin:
            case RouteOrigin.ROUTE:
                return f"the route for {self.pattern}"
            case RouteOrigin.RELAY:
                return "one relay carries everything"
            case RouteOrigin.LAB_ZONE:
                return f"the domain names a scenario of the lab ({LAB_DOMAIN})"
            case RouteOrigin.CAPTURE:
                return "no route names this domain, so the capture receiver takes it"
            case _:
                assert_never(self.origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayHost:
    """The `relay:` of a policy: one host that carries everything."""

    to: Destination
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Routing:
    """A policy's routes; with `relay` they are not looked at: everything goes through it."""

    routes: Mapping[DomainPattern, RouteRule] = field(default_factory=lambda: MappingProxyType({}))
    relay: RelayHost | None = None

    def match(self, domain: Domain) -> RouteMatch:
        """Return where mail for `domain` goes; there is always somewhere."""
        if self.relay is not None:
            return RouteMatch(to=self.relay.to, origin=RouteOrigin.RELAY, place=self.relay.place)
        for pattern in candidate_patterns(domain):
            rule = self.routes.get(pattern)
            if rule is not None:
                return RouteMatch(
                    to=rule.to, origin=RouteOrigin.ROUTE, pattern=rule.pattern, place=rule.place
                )
        name, _, zone = domain.partition(".")
        if zone == LAB_DOMAIN:
            return RouteMatch(to=ToScenario(scenario=name), origin=RouteOrigin.LAB_ZONE)
        return RouteMatch(to=ToCapture(), origin=RouteOrigin.CAPTURE)


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

    Without hosts, `problem` says why there are none.
    """

    hops: tuple[Hop, ...]
    problem: Failure
    schedule: RetrySchedule = ONE_TRY


def route(
    answers: Sequence[HostAddress] | Failure, schedule: RetrySchedule, *, looked_up: str
) -> Plan:
    """Order a resolver's answers by preference (RFC 5321 section 5.1), equal ones as given.

    A resolver that has none hands in the reason instead; `looked_up` is the name it was asked for.
    """
    none_found = DnsFailure(problem=DnsProblem.NO_HOST, name=looked_up)
    if not isinstance(answers, Sequence):
        return Plan(hops=(), problem=answers, schedule=schedule)
    ordered = sorted(answers, key=lambda answer: answer.preference)
    return Plan(
        hops=tuple(Hop(host=a.name, address=a.address, port=a.port, mode=a.mode) for a in ordered),
        problem=none_found,
        schedule=schedule,
    )
