"""A wait that somebody cut short."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.core.outcomes import Deferred, DnsFailure, DnsProblem, PeerRefusal, Stage
from relay.core.replies import Reply
from relay.core.routing import Hop, Plan, RetrySchedule
from relay.core.steps import InClear, Tried, Try, Wait, hurried, next_step

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOST = Hop(host="a.test", address="127.0.0.1", port=1)
BUSY = PeerRefusal(reply=Reply(code=450, text="busy"), stage=Stage.RCPT)
NOBODY = DnsFailure(problem=DnsProblem.NO_HOST, name="a.test")
PLAN = Plan(
    hops=(HOST,),
    problem=NOBODY,
    schedule=RetrySchedule(delays=(HOUR, HOUR), expire_after=24 * HOUR),
)


def tried(number: int) -> Tried:
    return Tried(
        round=number,
        hop=HOST,
        clear=False,
        verdict=None,
        outcome=Deferred(failure=BUSY),
        ended_at=NOON,
    )


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_the_next_round_begins_though_it_is_not_due_nor_left_in_the_schedule(rounds: int) -> None:
    history = [tried(number) for number in range(1, rounds + 1)]
    step = next_step(history, PLAN, accepted_at=NOON, now=NOON)
    assert isinstance(step, Wait)
    again = hurried(step, history, PLAN)
    assert isinstance(again, Try)
    assert (again.hop, again.in_clear, again.round) == (HOST, InClear.AS_JUDGED, rounds + 1)


def test_what_was_never_tried_waits_for_nothing() -> None:
    with pytest.raises(ValueError, match="nothing was tried"):
        hurried(Wait(until=NOON, failure=BUSY), [], PLAN)
