"""What metrics are counted from."""

from __future__ import annotations

from types import SimpleNamespace

from relay.journal.api import Batch
from relay.web.live import Live
from relay.web.tally import CODES, OTHER, Histogram, Tally


def test_a_histogram_counts_values_up_to_each_bound() -> None:
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 7):
        histogram.observe(value)
    assert histogram.cumulated == [(1, 2), (2, 3), (float("inf"), 4)]
    assert histogram.total == 10


def test_codes_past_the_bound_are_counted_together() -> None:
    tally = Tally()
    for number in range(CODES + 50):
        bounce = SimpleNamespace(action=SimpleNamespace(value="failed"), status=f"550 5.1.{number}")
        tally._bounce(bounce)  # type: ignore[arg-type]
    assert len(tally.bounces) == CODES + 1
    assert tally.bounces["failed", OTHER] == 50


async def test_only_what_streams_tell_wakes_those_who_wait() -> None:
    live = Live()
    changed = live.changed
    live.written(Batch(), 0.1)
    assert not changed.is_set()
    assert live.tally.writes.total == 0.1
    live.close()
    assert changed.is_set()
    assert live.closed
