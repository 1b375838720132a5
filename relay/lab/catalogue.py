"""Every scenario by name: cheap to import, because a script is data and a recipe only a name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from relay.core.scenarios import Scenario
from relay.lab.dns_answers import DnsScenario
from relay.lab.scenarios import certificate, dns, handshake, honest, smtp, starttls
from relay.lab.scripts import LabScenario

CAPTURE: Final = honest.CAPTURE

DNS_SCENARIOS: Final[Mapping[str, DnsScenario]] = MappingProxyType(
    {entry.card.name: entry for entry in dns.SCENARIOS}
)
"""Cards, and what the name server answers."""

LAB_SCENARIOS: Final[Mapping[str, LabScenario]] = MappingProxyType(
    {
        entry.card.name: entry
        for family in (honest, starttls, handshake, certificate, smtp)
        for entry in family.SCENARIOS
    }
    | {
        name: LabScenario(card=entry.card)
        for name, entry in DNS_SCENARIOS.items()
        if entry.own_hosts
    }
)
"""Cards and scripts of the scenarios that have a receiver, family by family."""

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {name: entry.card for name, entry in LAB_SCENARIOS.items() if name not in DNS_SCENARIOS}
    | {name: entry.card for name, entry in DNS_SCENARIOS.items()}
)
"""All cards, with a receiver or without."""

RECEIVER_OF_HOST: Final[Mapping[str, str]] = MappingProxyType(
    {entry.card.host: name for name, entry in LAB_SCENARIOS.items()}
    | {host: name for name, entry in DNS_SCENARIOS.items() for host in entry.own_hosts}
)
"""The scenario whose receiver is meant, by host name."""


class UnknownScenario(LookupError):  # noqa: N818 - reads as what it is where it is caught
    """No scenario has this name; `suggestions` are the nearest ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.suggestions = tuple(get_close_matches(name, SCENARIOS, n=3))
        hint = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"the lab has no scenario {name!r}{hint}")


class NoReceiver(LookupError):  # noqa: N818 - reads as what it is where it is caught
    """A scenario is about DNS alone, so that nothing listens for it."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"the scenario {name} is about DNS alone and has no receiver")


def find_scenario(name: str) -> LabScenario | DnsScenario:
    """Return a scenario by name, one about DNS as such; raise UnknownScenario."""
    found = DNS_SCENARIOS.get(name) or LAB_SCENARIOS.get(name)
    if found is None:
        raise UnknownScenario(name)
    return found


def find_receiver(name: str) -> LabScenario:
    """Return the scenario whose receiver has this name; raise UnknownScenario or NoReceiver."""
    if name in LAB_SCENARIOS:
        return LAB_SCENARIOS[name]
    if name in SCENARIOS:
        raise NoReceiver(name)
    raise UnknownScenario(name)
