"""The machine's clock jumps, by hours, while mail is queued."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

from e2e_relay import Running, Start, Watcher
from flufl.bounce import all_failures
from reliability_host import Host

from relay.core.records import BounceAction
from relay.engine.clock import SystemClock
from relay.journal.api import RecipientState

HOUR = timedelta(hours=1)


class JumpingClock:
    """A clock that jumps either way; whoever sleeps notices at once."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._jumped = asyncio.Condition()

    def now(self) -> datetime:
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        async with self._jumped:
            await self._jumped.wait_for(lambda: self._now >= when)

    async def jump(self, by: timedelta) -> None:
        async with self._jumped:
            self._now += by
            self._jumped.notify_all()


class Moody:
    """Refuses for now until it is told to take."""

    def __init__(self) -> None:
        self.takes = False

    def answer(self, recipient: str) -> bytes:
        if recipient == "a@moody.test" and not self.takes:
            return b"450 4.2.1 Later\r\n"
        return b"250 2.1.5 Ok\r\n"


def policy(host: Host) -> str:
    """Salesforce's schedule: 9 tries, gaps that double from 5 minutes, 24 hours."""
    return (
        "tls: Off\nreply: queued\n"
        f"routes: [{{match: moody.test, to: '127.0.0.1:{host.port}'}},"
        f" {{match: example.test, to: '127.0.0.1:{host.port}'}}]\n"
    )


def states(running: Running, mark: str) -> list[RecipientState]:
    return [status.state for status in running.record(mark).recipients]


async def test_back_by_a_day_delays_and_loses_nothing(start: Start) -> None:
    clock, watcher, moody = JumpingClock(), Watcher(), Moody()
    with Host(answer=moody.answer) as host:
        async with start(policy(host), clock=clock, observer=watcher) as running:
            assert (await running.send("a@moody.test", mark="before")).code == 250
            await watcher.until(lambda: len(watcher.bounces) == 1)
            moody.takes = True
            await clock.jump(-24 * HOUR)
            assert (await running.send("b@moody.test", mark="new")).code == 250
            await watcher.until(lambda: len(watcher.attempts) == 2)
            assert states(running, "before") == [RecipientState.QUEUED]
            await clock.jump(24 * HOUR + timedelta(minutes=6))
            await watcher.until(lambda: len(watcher.attempts) == 3)
            assert len(running.record("before").attempts) == 2
        assert sorted(t.recipients for t in host.taken) == [("a@moody.test",), ("b@moody.test",)]


async def test_forward_past_the_end_gives_one_more_try(start: Start) -> None:
    clock, watcher, moody = JumpingClock(), Watcher(), Moody()
    with Host(answer=moody.answer) as host:
        async with start(policy(host), clock=clock, observer=watcher) as running:
            assert (await running.send("a@moody.test", mark="late")).code == 250
            await watcher.until(lambda: len(watcher.bounces) == 1)
            moody.takes = True
            await clock.jump(25 * HOUR)
            await watcher.until(lambda: len(watcher.attempts) == 2)
        assert [taken.recipients for taken in host.taken] == [("a@moody.test",)]


async def test_forward_past_the_end_tells_the_sender_where_that_try_fails(start: Start) -> None:
    clock, watcher = JumpingClock(), Watcher()
    with Host(answer=Moody().answer) as host:
        async with start(policy(host), clock=clock, observer=watcher) as running:
            assert (await running.send("a@moody.test", mark="late")).code == 250
            await watcher.until(lambda: len(watcher.bounces) == 1)
            await clock.jump(25 * HOUR)
            await watcher.until(lambda: len(watcher.bounces) == 2)
            final = watcher.bounces[1]
            assert (final.action, str(final.status)) == (BounceAction.FAILED, "554 5.4.7")
            await asyncio.to_thread(host.wait_for, lambda: bool(_failures(host)))
            assert states(running, "late") == [RecipientState.FAILED]
        assert _failures(host) == [{b"a@moody.test"}]


def _failures(host: Host) -> list[set[bytes]]:
    """Return whom the notifications report as failed for good."""
    parsed = [message_from_bytes(taken.content) for taken in host.taken]
    return [found for message in parsed if (found := all_failures(message)[1])]


async def test_the_systems_clock_notices_a_jump_within_a_minute() -> None:
    """Its sleeps are short, so that a jump forward makes nobody wait for the time of before."""
    slept: list[float] = []
    clock = SystemClock()
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise TimeoutError
        await real_sleep(0)

    asyncio.sleep, kept = sleep, asyncio.sleep  # type: ignore[assignment]
    try:
        async with asyncio.timeout(5):
            await clock.sleep_until(clock.now() + 24 * HOUR)
    except TimeoutError:
        pass
    finally:
        asyncio.sleep = kept
    assert slept == [60, 60, 60]
