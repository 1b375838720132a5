"""The notifier behind its queues: what is told, to whom, how often; and what is never told."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
import record_builders as build
from e2e_relay import TurnedClock
from notice_records import TERMINATED, VERIFIED, a_bounce, an_attempt

from relay.core.addresses import parse_address
from relay.core.codebook_data import SALESFORCE
from relay.core.notices import Notice, NoticeKind, Report
from relay.core.records import Attempt, BounceAction, Envelope
from relay.engine.telling import end_telling
from relay.journal.api import JournalError
from relay.notice import notifier
from relay.notice.channel import Outbox
from relay.notice.notifier import Notifier

HOUR = timedelta(hours=1)
ADMIN = parse_address("admin@crm.test")


@dataclass
class Channel:
    """Keeps what it is told; `gate` closed, it hangs."""

    told: list[Notice] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def deliver(self, notice: Notice) -> bool:
        async with self.changed:
            self.told.append(notice)
            self.changed.notify_all()
        await self.gate.wait()
        return True

    async def until(self, number: int) -> list[Notice]:
        async with asyncio.timeout(20), self.changed:
            await self.changed.wait_for(lambda: len(self.told) >= number)
        return self.told


@dataclass
class Past:
    """A journal's history, which counts how often it was asked."""

    attempts: tuple[Attempt, ...] = ()
    asked: int = 0

    def __call__(self, domain: str, messages: int) -> tuple[Attempt, ...]:
        self.asked += 1
        return self.attempts


class NoPast(Past):
    def __call__(self, domain: str, messages: int) -> tuple[Attempt, ...]:
        raise JournalError("the disk is gone")


def an_envelope(reverse_path: str = "s@crm.test", recipient: str = "u@bank.test") -> Envelope:
    return build.envelope(reverse_path=reverse_path, recipients=(recipient,))


@dataclass
class Told:
    notifier: Notifier
    channel: Channel
    clock: TurnedClock
    past: Past
    running: asyncio.Task[None]

    def tries(self, *attempts: Attempt) -> None:
        for attempt in attempts:
            self.notifier.attempted(an_envelope(), attempt, None)

    async def end(self) -> list[Notice]:
        self.notifier.finish()
        await self.running
        return self.channel.told


@contextlib.asynccontextmanager
async def notifying(past: Past | None = None, *, kept: int = 10_000) -> AsyncIterator[Told]:
    channel, clock, past = Channel(), TurnedClock(), past or Past()
    channel.gate.set()
    notifier = Notifier(
        [channel],
        history=past,
        codes=lambda: SALESFORCE,
        clock=clock,
        window=HOUR,
        own=ADMIN,
        kept=kept,
    )
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(notifier.run())
        yield Told(notifier, channel, clock, past, running)
        running.cancel()


async def test_a_thousand_bounces_make_one_notice_at_once_and_one_with_the_count() -> None:
    async with notifying() as relay:
        for number in range(1000):
            relay.notifier.bounced(a_bounce(number))
        (first,) = await relay.channel.until(1)
        assert (first.report, first.count, first.bounce_id) == (Report.FIRST, 1, "b0")
        await relay.clock.turn_to(relay.clock.now() + HOUR)
        summary = (await relay.channel.until(2))[1]
        assert (summary.report, summary.count, summary.bounce_id) == (Report.SUMMARY, 1000, "b999")
        assert len(await relay.end()) == 2


async def test_domains_and_codes_are_told_apart() -> None:
    async with notifying() as relay:
        for bounce in (
            a_bounce(1),
            a_bounce(2, domain="other.test"),
            a_bounce(3, status="550 5.1.1"),
            a_bounce(4),
        ):
            relay.notifier.bounced(bounce)
        told = await relay.end()
    assert [(n.domain, str(n.code), n.count) for n in told] == [
        ("bank.test", "451 4.7.5", 1),
        ("other.test", "451 4.7.5", 1),
        ("bank.test", "550 5.1.1", 1),
        ("bank.test", "451 4.7.5", 2),
    ]


async def test_a_delay_and_a_notices_own_failure_are_no_occasions() -> None:
    async with notifying(Past((an_attempt(VERIFIED),))) as relay:
        relay.notifier.bounced(a_bounce(1, action=BounceAction.DELAYED))
        relay.notifier.bounced(a_bounce(2, reverse_path="", recipient=str(ADMIN)))
        own = an_envelope(reverse_path="", recipient=str(ADMIN))
        relay.notifier.attempted(own, an_attempt(TERMINATED), None)
        assert await relay.end() == []
    async with notifying() as relay:
        relay.notifier.bounced(a_bounce(3, recipient=str(ADMIN)))
        assert len(await relay.end()) == 1


async def test_the_journal_is_asked_once_for_a_domain_that_fails_and_never_for_one_that_works() -> (
    None
):
    earlier = (an_attempt(VERIFIED, number=1), an_attempt(VERIFIED, number=2))
    failing = an_attempt(TERMINATED, number=3)
    # The journal is ahead of the notifier: it has this attempt and the next one already.
    past = Past((*earlier, failing, an_attempt(TERMINATED, number=4)))
    async with notifying(past) as relay:
        relay.tries(*earlier)
        relay.tries(failing, an_attempt(TERMINATED, number=4), an_attempt(TERMINATED, number=5))
        (notice,) = await relay.end()
    assert (notice.kind, notice.message_id) == (NoticeKind.STOPPED_VERIFYING, "m3")
    assert notice.verified_at == earlier[1].ended_at
    assert past.asked == 1


async def test_what_failed_before_a_restart_is_not_the_first_failure_again() -> None:
    async with notifying(Past((an_attempt(TERMINATED, number=1),))) as relay:
        relay.tries(an_attempt(TERMINATED, number=2))
        assert await relay.end() == []


async def test_a_past_that_can_not_be_read_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    async with notifying(NoPast()) as relay:
        relay.tries(an_attempt(TERMINATED))
        assert await relay.end() == []
    assert "the past of bank.test can't be read" in caplog.text


async def test_an_error_of_ours_costs_a_notice_and_not_the_relay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with notifying() as relay:
        relay.notifier.bounced(a_bounce(1, recipient="no address at all"))
        relay.notifier.bounced(a_bounce(2))
        told = await relay.end()
    assert [n.bounce_id for n in told] == ["b2"]
    assert "a notice is lost" in caplog.text


async def test_the_queue_of_events_is_bounded_and_keeps_the_newest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with notifying(kept=2) as relay:
        for number in range(5):
            relay.notifier.bounced(a_bounce(number, domain=f"d{number}.test"))
        told = await relay.end()
    assert [n.bounce_id for n in told] == ["b3", "b4"]
    assert "events are dropped so far" in caplog.text


async def test_of_too_many_windows_the_oldest_closes_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(notifier, "WINDOWS", 2)
    async with notifying() as relay:
        for number, domain in enumerate(("d1", "d1", "d2", "d3", "d4")):
            relay.notifier.bounced(a_bounce(number, domain=f"{domain}.test"))
        told = await relay.channel.until(5)
        assert len(relay.notifier._windows) == 2
    reports = [(n.domain, n.report, n.count) for n in told]
    summary = ("d1.test", Report.SUMMARY, 2)
    assert reports == [
        *((f"d{number}.test", Report.FIRST, 1) for number in (1, 2, 3)),
        summary,
        ("d4.test", Report.FIRST, 1),
    ]


async def test_an_outbox_that_is_behind_drops_the_oldest_and_counts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    channel = Channel()
    outbox = Outbox(channel, kept=2)
    async with notifying() as relay:
        for number in range(4):
            relay.notifier.bounced(a_bounce(number, domain=f"d{number}.test"))
        notices = await relay.end()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(outbox.run())
        outbox.offer(notices[0])
        await channel.until(1)
        for notice in notices[1:]:
            outbox.offer(notice)
        assert (outbox.dropped, outbox.unsent) == (1, 3)
        channel.gate.set()
        outbox.finish()
        await running
    assert [n.domain for n in channel.told] == ["d0.test", "d2.test", "d3.test"]
    assert "a notice about d1.test is dropped, 1 so far" in caplog.text


async def test_the_end_waits_no_longer_than_it_may(caplog: pytest.LogCaptureFixture) -> None:
    async with notifying() as relay:
        relay.channel.gate.clear()
        relay.notifier.bounced(a_bounce())
        await relay.channel.until(1)
        now = asyncio.get_running_loop().time()
        await end_telling(relay.notifier, relay.running, until=now)
        await asyncio.wait({relay.running})
    assert relay.running.cancelled()
    assert "notices not sent: 1" in caplog.text


async def test_what_is_unsent_at_the_end_is_logged_with_its_count(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    async with notifying() as relay:
        relay.channel.gate.clear()
        for number in range(3):
            relay.notifier.bounced(a_bounce(number, domain=f"d{number}.test"))
        await relay.channel.until(1)
    assert "notices not sent: 3" in caplog.text
