"""Counts of what the relay did since it started, for metrics. Light to import.

No count is kept by a domain, an address or a peer's own words; a peer may say any code, so codes
past `CODES` are counted together.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from typing import Final, assert_never

from relay.audit.check_stages import handshake_of
from relay.core.evidence import HandshakeDone, HandshakeFailed, NotTried
from relay.core.outcomes import Deferred, Delivered, Failed
from relay.core.records import Attempt, Bounce, Session
from relay.journal.api import Batch

CODES: Final = 100
"""Different codes that are told apart."""
OTHER: Final = "other"
NONE: Final = "none"


class Histogram:
    """How many values were at most as big as each bound; the bounds ascend."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(self._bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.total += value

    @property
    def cumulated(self) -> list[tuple[float, int]]:
        """Each bound, and infinity, with how many values were not bigger."""
        found, so_far = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            so_far += count
            found.append((bound, so_far))
        return found


class Tally:
    """All counts, by their labels' values.

    `outcomes` are of recipients' tries: the outcome, and the protection or 'none'. `sessions` are
    by direction, how the handshake ended, and the TLS version or 'none'.
    """

    def __init__(self) -> None:
        self.messages = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.bounces: Counter[tuple[str, str]] = Counter()
        self.sessions: Counter[tuple[str, str, str]] = Counter()
        self.handshakes = Histogram((0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30))
        self.writes = Histogram((0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5))

    def written(self, batch: Batch, seconds: float) -> None:
        """Count what a batch has, and the time it took to write it."""
        self.writes.observe(seconds)
        self.messages += len(batch.messages)
        for attempt in batch.attempts:
            self._attempt(attempt)
        for bounce in batch.bounces:
            self._bounce(bounce)
        for session in batch.sessions:
            self._session(session)

    def _attempt(self, attempt: Attempt) -> None:
        for entry in attempt.outcomes:
            match entry.outcome:
                case Delivered(kind=kind, protection=protection):
                    self.outcomes[kind, protection.value] += 1
                case Deferred(kind=kind) | Failed(kind=kind):
                    self.outcomes[kind, NONE] += 1
                case _:
                    assert_never(entry.outcome)

    def _bounce(self, bounce: Bounce) -> None:
        key = (bounce.action.value, str(bounce.status))
        if key not in self.bounces and len(self.bounces) >= CODES:
            key = (bounce.action.value, OTHER)
        self.bounces[key] += 1

    def _session(self, session: Session) -> None:
        if session.continues is not None:
            return
        handshake = session.evidence.handshake if session.evidence else NotTried()
        match handshake:
            case HandshakeDone(kind=kind, version=version):
                self.sessions[session.direction.value, kind, version] += 1
            case NotTried(kind=kind) | HandshakeFailed(kind=kind):
                self.sessions[session.direction.value, kind, NONE] += 1
            case _:
                assert_never(handshake)
        if (timed := handshake_of(session)) is not None:
            self.handshakes.observe(timed.seconds)
