"""Domains whose mail fails, or finds its way, by DNS alone: names of the lab's zone, not receivers.

Their mail exchangers are receivers of the catalogue.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from relay.core.routing import LAB_DOMAIN, HostAddress
from relay.lab.catalogue import SCENARIOS

MANY: Final = 60
"""Mail exchangers of `mx-many`: more than an answer over UDP has room for."""


@unique
class Trouble(Enum):
    """How the name server fails to answer, whatever is asked of the name."""

    SERVFAIL = "servfail"
    SILENT = "silent"


TROUBLES: Final[Mapping[str, Trouble]] = MappingProxyType(
    {
        f"servfail.{LAB_DOMAIN}": Trouble.SERVFAIL,
        f"dns-timeout.{LAB_DOMAIN}": Trouble.SILENT,
    }
)
"""Names that are asked in vain; `nxdomain` needs no entry, for it does not exist."""

_EXCHANGERS: Final[Mapping[str, tuple[tuple[int, str], ...]]] = MappingProxyType(
    {
        "mx-preference": ((20, "tls12"), (10, "good")),
        "mx-bad-then-good": ((10, "no-starttls"), (20, "good")),
        "mx-good-then-bad": ((10, "good"), (20, "no-starttls")),
    }
)
"""Preferences and scenarios, by domain."""


def special_names(endpoints: Mapping[str, HostAddress]) -> Mapping[str, tuple[str, ...]]:
    """Return the records of the special names whose receivers are among `endpoints`."""
    # RFC 7505: a domain that takes no mail.
    records: dict[str, tuple[str, ...]] = {f"null-mx.{LAB_DOMAIN}": ("MX 0 .",)}
    for name, exchangers in _EXCHANGERS.items():
        if all(scenario in endpoints for _, scenario in exchangers):
            records[f"{name}.{LAB_DOMAIN}"] = tuple(
                f"MX {preference} {SCENARIOS[scenario].host}."
                for preference, scenario in exchangers
            )
    if "good" in endpoints:
        address = address_record(endpoints["good"])
        # RFC 5321 section 5.1: without MX records the domain itself is its mail exchanger.
        records[f"no-mx.{LAB_DOMAIN}"] = (address,)
        hosts = [f"mx{at}.mx-many.{LAB_DOMAIN}" for at in range(MANY)]
        records[f"mx-many.{LAB_DOMAIN}"] = tuple(f"MX 10 {host}." for host in hosts)
        records |= dict.fromkeys(hosts, (address,))
    return records


def address_record(endpoint: HostAddress) -> str:
    """Return a receiver's address as a record's type and data."""
    return f"{'AAAA' if ':' in endpoint.address else 'A'} {endpoint.address}"
