"""What the lab's name server answers for a domain: data, read by `relay.lab.zone`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Literal, assert_never

from relay.core.outcomes import DnsProblem
from relay.core.scenarios import Scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchanger:
    """One MX record; a lower `preference` comes first.

    `host` is a receiver's host name, empty for the null MX (RFC 7505), and None for the name of
    the relay that asks: the mail would come back to it.
    """

    preference: int
    host: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Exchangers:
    """MX records, in the order of the answer."""

    kind: Literal["exchangers"] = "exchangers"
    records: tuple[Exchanger, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnAddress:
    """No MX records, but an address: the domain is its own mail exchanger."""

    kind: Literal["own-address"] = "own-address"


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSuchName:
    """The name does not exist."""

    kind: Literal["no-such-name"] = "no-such-name"


@unique
class Trouble(Enum):
    """How the name server fails to answer, whatever is asked of the name."""

    SERVFAIL = "servfail"
    SILENT = "silent"


DnsAnswer = Exchangers | OwnAddress | NoSuchName | Trouble


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsScenario:
    """One scenario about DNS: the card for people and the answer for the name server.

    `problem` is what a look-up of the domain must come to, None where it finds hosts.
    """

    card: Scenario
    answer: DnsAnswer
    problem: DnsProblem | None = None

    @property
    def hosts(self) -> tuple[str, ...]:
        """The host names of the domain's mail exchangers, the preferred ones first."""
        match self.answer:
            case Exchangers(records=records):
                by_preference = sorted(records, key=lambda record: record.preference)
                return tuple(record.host for record in by_preference if record.host)
            case OwnAddress():
                return (self.card.mail_domain,)
            case NoSuchName() | Trouble():
                return ()
            case _:
                assert_never(self.answer)

    @property
    def own_hosts(self) -> tuple[str, ...]:
        """Those hosts that are no other scenario's: all of them are one receiver of its own."""
        domain = self.card.mail_domain
        return tuple(h for h in self.hosts if h == domain or h.endswith(f".{domain}"))
