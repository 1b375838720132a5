"""Receivers with nothing wrong."""

from __future__ import annotations

from typing import Final

from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.lab.scripts import LabScenario

GOOD: Final = LabScenario(
    card=Scenario(
        name="good",
        family=Family.HONEST,
        scenario_class=ScenarioClass.HONEST,
        summary="Offers STARTTLS and shows a valid certificate, complete with its intermediate.",
        in_the_wild="Every well-kept mail host. Try it first: if this one bounces, it is the "
        "policy or the trust in the lab's root that needs a look, not the receiver.",
        stage=None,
        faults=(),
        recipe="good",
        remedy="Nothing to do.",
    )
)

CAPTURE: Final = LabScenario(
    card=Scenario(
        name="capture",
        family=Family.HONEST,
        scenario_class=ScenarioClass.HONEST,
        summary="Takes the mail of every domain that no route names, with honest TLS.",
        in_the_wild="Stands in for the rest of the world, so that no test mail leaves the machine.",
        stage=None,
        faults=(),
        recipe="good",
        remedy="Nothing to do.",
    )
)
"""The built-in receiver behind `capture`; reached by routes, not listed as a scenario."""

SCENARIOS: Final = (GOOD,)
