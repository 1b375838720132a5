"""Which scenarios of the lab fail like a host that was checked, so that they can be tried."""

from __future__ import annotations

from collections.abc import Iterable

from relay.core.advisories import Advisory, AdvisoryKind
from relay.core.faults import FaultKind, TlsFault
from relay.core.scenarios import Family, Scenario
from relay.core.settings import TlsMode
from relay.lab.catalogue import SCENARIOS

_WITH_TLS = frozenset({Family.HONEST, Family.STARTTLS, Family.HANDSHAKE, Family.CERTIFICATE})


def nearest_scenarios(
    faults: Iterable[TlsFault], advisories: Iterable[Advisory], mode: TlsMode
) -> tuple[str, ...]:
    """Return the scenarios whose cards share most with what was found, in the catalogue's order.

    The faults count first, then the advisories, then how TLS begins. () where no card has any of
    the faults.
    """
    found = frozenset(fault.kind for fault in faults)
    noted = frozenset(advisory.kind for advisory in advisories)
    cards = [card for card in SCENARIOS.values() if card.family in _WITH_TLS]
    if found:
        cards = [card for card in cards if found & frozenset(card.faults)]
    if not cards:
        return ()
    ranks = {card.name: _likeness(card, found, noted, mode) for card in cards}
    best = max(ranks.values())
    return tuple(name for name, rank in ranks.items() if rank == best)


def _likeness(
    card: Scenario,
    found: frozenset[FaultKind],
    noted: frozenset[AdvisoryKind],
    mode: TlsMode,
) -> tuple[float, float, bool]:
    return (
        _overlap(found, frozenset(card.faults)),
        _overlap(noted, frozenset(card.advisories)),
        card.mode is mode,
    )


def _overlap(one: frozenset[object], other: frozenset[object]) -> float:
    """Return how much of either is in both, from 0 to 1 (Jaccard's index); 1 for two empty ones."""
    together = one | other
    return len(one & other) / len(together) if together else 1.0
