"""Ways and plans that were worked out before.

Both follow from the policy and from what is asked, and volume asks the same over and over. What is
remembered is bounded, and goes with the policy in force that it belongs to.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import Final

from relay.core.addresses import Domain
from relay.core.delivery import Policy, Way
from relay.core.outcomes import Failure
from relay.core.records import MatchedRule
from relay.core.routing import HostAddress, Plan, RetrySchedule
from relay.core.settings import TlsSetting

MOST_REMEMBERED: Final = 1000
"""Ways; when there are more, all are worked out anew."""

_Asked = tuple[tuple[HostAddress, ...] | Failure, RetrySchedule, Set[HostAddress]]


class PlannedWay:
    """A way, the record of the rule that matched, and the plan that was last made for it."""

    def __init__(self, policy: Policy, way: Way) -> None:
        self.way: Final = way
        self.rule: Final = MatchedRule.of(way.tls)
        self._policy = policy
        self._planned: tuple[_Asked, Plan] | None = None

    def plan(
        self,
        answers: tuple[HostAddress, ...] | Failure,
        schedule: RetrySchedule,
        *,
        ours: Set[HostAddress],
    ) -> Plan:
        """Return what `Policy.plan` does."""
        asked = (answers, schedule, ours)
        if self._planned is None or self._planned[0] != asked:
            made = self._policy.plan(self.way, answers, schedule, ours=ours)
            self._planned = (asked, made)
        return self._planned[1]


class Ways:
    """The ways of one policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._known: dict[tuple[Domain, Domain | None, TlsSetting | None], PlannedWay] = {}

    def way(self, domain: Domain, *, sender: Domain | None, floor: TlsSetting | None) -> PlannedWay:
        """Return what `Policy.way` does, its TLS no weaker than `floor`."""
        asked = (domain, sender, floor)
        known = self._known.get(asked)
        if known is None:
            way = self._policy.way(domain, sender=sender)
            if floor is not None:
                way = replace(way, tls=replace(way.tls, floor=floor))
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            known = self._known[asked] = PlannedWay(self._policy, way)
        return known
