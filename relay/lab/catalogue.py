"""Every scenario by name: cheap to import, because a script is data and a recipe only a name."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Final

from relay.core.scenarios import Scenario
from relay.lab.scenarios import certificate, handshake, honest, smtp, starttls
from relay.lab.scripts import LabScenario

CAPTURE: Final = honest.CAPTURE

LAB_SCENARIOS: Final[Mapping[str, LabScenario]] = MappingProxyType(
    {
        entry.card.name: entry
        for family in (honest, starttls, handshake, certificate, smtp)
        for entry in family.SCENARIOS
    }
)
"""Cards and scripts, family by family."""

SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {name: entry.card for name, entry in LAB_SCENARIOS.items()}
)
"""The cards alone."""


class UnknownScenario(LookupError):  # noqa: N818 - reads as what it is where it is caught
    """No scenario has this name; `suggestions` are the nearest ones."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.suggestions = tuple(get_close_matches(name, LAB_SCENARIOS, n=3))
        hint = f"; did you mean {' or '.join(self.suggestions)}?" if self.suggestions else ""
        super().__init__(f"the lab has no scenario {name!r}{hint}")


def find_scenario(name: str) -> LabScenario:
    """Return a scenario by name; raise UnknownScenario."""
    try:
        return LAB_SCENARIOS[name]
    except KeyError:
        raise UnknownScenario(name) from None
