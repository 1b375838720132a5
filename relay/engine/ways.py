"""Ways and plans that were worked out before.

Both follow from the policy and from what is asked, and volume asks the same over and over. What is
remembered is bounded, and goes with the policy in force that it belongs to.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from relay.core.addresses import Domain
from relay.core.delivery import Policy, Way
from relay.core.outcomes import Failure
from relay.core.records import MatchedRule
from relay.core.routing import HostAddress, Plan, RetrySchedule
from relay.core.settings import TlsSetting
from relay.core.steps import Try, judged_under
from relay.inbound.listeners import Endpoint
from relay.lookup.ourselves import own_listeners
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores

if TYPE_CHECKING:
    from relay.outbound.pool import PoolKey
    from relay.tls.trust_store import TrustStore

MOST_REMEMBERED: Final = 1000
"""Ways; when there are more, all are worked out anew."""

_Answers: TypeAlias = tuple[HostAddress, ...] | Failure
_Asked: TypeAlias = tuple[_Answers, RetrySchedule, Set[HostAddress]]


class Terms(NamedTuple):
    """What a session is opened under and shared by, and the anchors that its policy trusts."""

    key: PoolKey
    store: TrustStore


class PlannedWay:
    """A way, what records and tries take from it, and the plan that was last made for it.

    `rule` is the record of the rule that matched, `tested` the policy that is only tested.
    """

    def __init__(self, policy: Policy, way: Way) -> None:
        self.way: Final = way
        self.domain: Final = way.tls.domain
        self.rule: Final = MatchedRule.of(way.tls)
        self.tested: Final = way.tls.tested
        self.to: Final = str(way.route.to)
        self.sent_by: Final = way.route.reason if way.route.by_policy else ""
        self._policy = policy
        self._planned: tuple[_Asked, Plan] | None = None
        self._agreed: tuple[Try, Terms] | None = None
        self._told_ours: tuple[_Answers, tuple[Endpoint, ...], frozenset[HostAddress]] | None = None

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

    def ours(self, answers: _Answers, listeners: tuple[Endpoint, ...]) -> frozenset[HostAddress]:
        """Return which answers are this relay's own listeners; other answers are looked at anew."""
        told = self._told_ours
        if told is None or told[0] is not answers or told[1] is not listeners:
            found = own_listeners(answers, [(one.host, one.port) for one in listeners])
            told = self._told_ours = (answers, listeners, found)
        return told[2]

    def terms(self, step: Try, contexts: ClientContexts, stores: TrustStores) -> Terms:
        """Return the terms of a try; contexts and stores are always those of the policy in force.

        Raises TrustError where a file that the policy names can't be used.
        """
        if self._agreed is None or not _alike(self._agreed[0], step):
            from relay.outbound.pool import PoolKey

            policy = judged_under(self.way.tls.policy, step.in_clear)
            relay = self.way.route.email_relay
            key = PoolKey.of(
                step.hop,
                policy,
                contexts,
                recipient_domain=self.domain,
                credentials=relay.credentials if relay else None,
            )
            self._agreed = (step, Terms(key, stores.store(policy.trust)))
        return self._agreed[1]


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


def _alike(one: Try, other: Try) -> bool:
    """Whether both are of the same host, and of its TLS."""
    same_host = one.hop is other.hop or one.hop == other.hop
    return same_host and one.in_clear is other.in_clear
