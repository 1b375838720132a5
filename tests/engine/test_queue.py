"""The queue: everything that is due is taken up, in order, by no more hands than there may be."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import record_builders as build
from hypothesis import example, given, settings
from hypothesis import strategies as st

from relay.core.addresses import parse_address
from relay.core.outcomes import ConnectionFailure, ConnectionProblem, Stage
from relay.core.steps import Done, Wait
from relay.engine import hands, queue, read_ahead
from relay.engine.in_hand import InHand, Rested
from relay.engine.queue import Queue
from relay.engine.settling import Settled
from relay.journal.api import DueRecipient, JournalError, MessageRecord, NewMessage, RecipientState
from relay.testing.turned_clock import TurnedClock

NOON = datetime(2100, 1, 1, 12, tzinfo=UTC)
LOST = ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.EHLO, detail="x")


def new_message(number: int, *recipients: str, content: bytes = b"x") -> NewMessage:
    envelope = build.envelope(
        id=f"m{number:05}", recipients=recipients, received_at=NOON, size=len(content)
    )
    return NewMessage(envelope=envelope, content=content, state=RecipientState.QUEUED, next_at=NOON)


class Journal:
    """A journal in memory, as far as the queue asks it; counts what it is asked."""

    def __init__(self) -> None:
        self.messages: dict[str, NewMessage] = {}
        self.queued: dict[tuple[str, str], datetime] = {}
        self.looks = 0
        self.reads: list[str] = []
        self.broken = False

    def keep(self, message: NewMessage, *, next_at: datetime = NOON) -> None:
        own = message.envelope
        self.messages[own.id] = message
        self.queued |= {(own.id, recipient): next_at for recipient in own.recipients}

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        not_messages: Collection[str] = (),
        not_domains: Collection[str] = (),
    ) -> tuple[DueRecipient, ...]:
        self.looks += 1
        if self.broken:
            raise JournalError("broken")
        found = [
            DueRecipient(
                message_id=own,
                recipient=recipient,
                next_at=at,
                octets=self.messages[own].envelope.size,
            )
            for (own, recipient), at in self.queued.items()
            if own not in not_messages
            and parse_address(recipient).domain not in not_domains
            and at <= now
        ]
        return tuple(sorted(found, key=lambda entry: entry.next_at)[:limit])

    def message(self, message_id: str, *, sessions: bool = True) -> MessageRecord:
        assert not sessions, "nobody here reads transcripts"
        self.reads.append(message_id)
        return MessageRecord(
            envelope=self.messages[message_id].envelope,
            recipients=(),
            attempts=(),
            sessions=(),
            bounces=(),
        )

    def content(self, message_id: str) -> bytes:
        return self.messages[message_id].content


class Rounds:
    """Holds each message until the test lets it go, and checks that the hands are kept to."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.begun: list[str] = []
        self.delivered: list[tuple[str, str]] = []
        self.contents: dict[str, bytes] = {}
        self._busy: Counter[str] = Counter()
        self._open: dict[str, asyncio.Future[timedelta | None]] = {}

    @property
    def open(self) -> list[str]:
        return [own for own, future in self._open.items() if not future.done()]

    async def run(self, message: InHand, _in_force: object, *, schedule: object) -> Rested:
        own = message.envelope.id
        assert own not in self.open, "a message is in one hand at a time"
        self.begun.append(own)
        self.contents[own] = message.content
        domains = {parse_address(recipient).domain for recipient in message.recipients}
        self._busy.update(domains)
        self._open[own] = asyncio.get_running_loop().create_future()
        assert len(self.open) <= hands.AT_ONCE
        assert max(self._busy.values()) <= hands.PER_DOMAIN
        try:
            again_in = await self._open[own]
        finally:
            self._busy.subtract(domains)
        steps: dict[str, Settled] = {}
        for recipient in message.recipients:
            if again_in is None:
                steps[recipient] = Done()
                del self._journal.queued[own, recipient]
                self.delivered.append((own, recipient))
            else:
                steps[recipient] = Wait(until=NOON + again_in, failure=LOST)
                self._journal.queued[own, recipient] = NOON + again_in
        return Rested(steps=steps, notifications=())

    async def let(self, own: str, *, again_in: timedelta | None = None) -> None:
        self._open[own].set_result(again_in)
        await settled()

    async def deliver_all(self) -> None:
        while self.open:
            await self.let(self.open[0])


async def settled() -> None:
    """Let every task go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


class Bench:
    """A queue with everything around it."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.journal = Journal()
        self.rounds = Rounds(self.journal)
        self.records = SimpleNamespace(behind=False)
        in_force = SimpleNamespace(policy=SimpleNamespace(delivery=SimpleNamespace(schedule=None)))
        faked: Any = {"journal": self.journal, "rounds": self.rounds, "records": self.records}
        self.queue = Queue(**faked, in_force=lambda: in_force, clock=self.clock)

    async def offer(self, message: NewMessage) -> None:
        self.journal.keep(message)
        self.queue.offer(message)
        await settled()

    async def turn(self, by: timedelta) -> None:
        await self.clock.turn_to(self.clock.now() + by)
        await settled()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        await self.clock.turn_to(NOON)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(self.queue.run())
            await settled()
            try:
                yield
            finally:
                self.queue.stop()
                running.cancel()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    async with bench.running():
        yield bench


@pytest.mark.parametrize("before", [0, hands.PER_DOMAIN], ids=["in hand", "waits"])
async def test_what_the_journal_told_of_first_is_not_taken_up_twice(
    bench: Bench, before: int
) -> None:
    for number in range(before):
        await bench.offer(new_message(number, "a@one.test"))
    late = new_message(99, "a@one.test")
    # Durable, and read; only then does its writer hear of it.
    bench.journal.keep(late)
    bench.queue.wake()
    await settled()
    bench.queue.offer(late)
    await settled()
    await bench.rounds.deliver_all()
    assert bench.rounds.begun.count(late.envelope.id) == 1
    assert len(bench.rounds.delivered) == before + 1
    assert not bench.queue.in_hand


async def test_what_comes_in_is_taken_up_without_asking_the_journal(bench: Bench) -> None:
    looks = bench.journal.looks
    for number in range(50):
        await bench.offer(new_message(number, "a@one.test"))
        await bench.rounds.deliver_all()
    assert len(bench.rounds.delivered) == 50
    assert bench.journal.looks == looks
    assert not bench.journal.reads


async def test_mail_that_waits_for_a_hand_is_remembered_in_its_order(bench: Bench) -> None:
    looks = bench.journal.looks
    for number in range(3 * hands.PER_DOMAIN):
        await bench.offer(new_message(number, "a@one.test", content=b"%d" % number))
    assert len(bench.rounds.open) == hands.PER_DOMAIN
    await bench.rounds.deliver_all()
    assert bench.rounds.begun == sorted(bench.rounds.begun)
    assert len(bench.rounds.delivered) == 3 * hands.PER_DOMAIN
    assert bench.rounds.contents["m00059"] == b"59"
    assert bench.journal.looks == looks
    assert not bench.journal.reads


async def test_more_than_can_be_remembered_is_read_from_the_journal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK_AHEAD", 10)
    monkeypatch.setattr(read_ahead, "KEPT_OCTETS", 5)
    for number in range(100):
        await bench.offer(new_message(number, "a@one.test"))
    assert len(bench.queue._ahead) == 10
    await bench.rounds.deliver_all()
    assert bench.rounds.begun == [f"m{number:05}" for number in range(100)]
    assert len(set(bench.journal.reads)) == 75, "20 were taken up at once, 5 were remembered"
    assert not bench.journal.queued


async def test_what_comes_in_does_not_pass_what_is_still_in_the_journal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK_AHEAD", 3)
    for number in range(hands.PER_DOMAIN + 5):
        await bench.offer(new_message(number, "a@one.test"))
    await bench.rounds.let("m00000")
    await bench.offer(new_message(99, "a@one.test"))
    await bench.rounds.deliver_all()
    assert bench.rounds.begun == sorted(bench.rounds.begun)
    assert bench.rounds.begun[-1] == "m00099"


async def test_mail_to_others_passes_a_crowded_domain_without_asking_the_journal(
    bench: Bench,
) -> None:
    for number in range(3 * hands.PER_DOMAIN):
        await bench.offer(new_message(number, "a@silent.test"))
    looks = bench.journal.looks
    for number in range(100, 130):
        await bench.offer(new_message(number, "a@one.test"))
        await bench.rounds.let(f"m{number:05}")
    assert len(bench.rounds.delivered) == 30
    assert bench.journal.looks == looks


async def test_recipients_at_a_crowded_domain_follow_the_others(bench: Bench) -> None:
    for number in range(hands.PER_DOMAIN):
        await bench.offer(new_message(number, "a@silent.test"))
    await bench.offer(new_message(50, "a@silent.test", "b@one.test"))
    await bench.rounds.let("m00050")
    assert bench.rounds.delivered == [("m00050", "b@one.test")]
    await bench.rounds.deliver_all()
    assert ("m00050", "a@silent.test") in bench.rounds.delivered
    assert not bench.journal.queued


async def test_no_more_octets_are_in_hand_than_there_may_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "OCTETS", 70)
    monkeypatch.setattr(hands, "OCTETS_PER_DOMAIN", 40)
    monkeypatch.setattr(read_ahead, "KEPT_OCTETS", 0)
    for number, domain in enumerate(("one", "one", "one", "two", "two", "one")):
        await bench.offer(new_message(number, f"a@{domain}.test", content=b"x" * 25))
    assert bench.rounds.open == ["m00000", "m00001", "m00003"]
    await bench.rounds.let("m00000")
    assert bench.rounds.open == ["m00001", "m00003", "m00002"]
    await bench.rounds.deliver_all()
    assert not bench.journal.queued


async def test_a_deferred_message_is_taken_up_again_in_time(bench: Bench) -> None:
    await bench.offer(new_message(1, "a@one.test"))
    await bench.offer(new_message(2, "a@one.test"))
    await bench.rounds.let("m00001", again_in=timedelta(minutes=5))
    await bench.rounds.let("m00002", again_in=timedelta(minutes=1))
    assert not bench.rounds.open
    await bench.turn(timedelta(minutes=1))
    assert bench.rounds.open == ["m00002"]
    await bench.rounds.let("m00002", again_in=timedelta(minutes=9))
    await bench.turn(timedelta(minutes=4))
    assert bench.rounds.open == ["m00001"]


async def test_nothing_is_taken_up_while_somebody_holds_the_queue(bench: Bench) -> None:
    with bench.queue.holding():
        await bench.offer(new_message(1, "a@one.test"))
        await bench.offer(new_message(2, "a@one.test"))
        assert not bench.rounds.open
        # What was deleted meanwhile is gone.
        del bench.journal.queued["m00001", "a@one.test"]
    await settled()
    assert bench.rounds.open == ["m00002"]


async def test_what_waits_in_memory_and_is_deleted_is_not_sent(bench: Bench) -> None:
    for number in range(hands.PER_DOMAIN + 2):
        await bench.offer(new_message(number, "a@one.test"))
    with bench.queue.holding():
        del bench.journal.queued[f"m{hands.PER_DOMAIN:05}", "a@one.test"]
    await settled()
    await bench.rounds.deliver_all()
    assert f"m{hands.PER_DOMAIN:05}" not in bench.rounds.begun
    assert len(bench.rounds.delivered) == hands.PER_DOMAIN + 1
    assert not bench.journal.queued


async def test_nothing_is_taken_up_while_records_wait(bench: Bench) -> None:
    bench.records.behind = True
    await bench.offer(new_message(1, "a@one.test"))
    assert not bench.rounds.open
    bench.records.behind = False
    await bench.turn(queue.AFTER_TROUBLE)
    assert bench.rounds.open == ["m00001"]


async def test_a_journal_that_can_not_be_read_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench = Bench()
    bench.journal.keep(new_message(1, "a@one.test"))
    bench.journal.broken = True
    async with bench.running():
        assert not bench.rounds.open
        bench.journal.broken = False
        await bench.turn(queue.AFTER_TROUBLE)
        assert bench.rounds.open == ["m00001"]
    assert "the queue can not be read" in caplog.text


DOMAINS = ("one.test", "two.test", "three.test")
OFFERS = st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=3, unique=True).map(
    lambda domains: tuple(f"a@{domain}" for domain in domains)
)
DONE = st.tuples(st.just("done"), st.integers(0, 10), st.sampled_from((None, 1, 2)))
MOVES = st.lists(OFFERS | DONE | st.just("hold") | st.just("later"), max_size=60)


@given(
    moves=MOVES, ahead=st.integers(1, 4), per_domain=st.integers(1, 3), at_once=st.integers(1, 5)
)
@example(
    moves=[("a@one.test",), ("a@one.test",), ("a@two.test",)], ahead=1, per_domain=1, at_once=1
)
@settings(deadline=None, max_examples=150)
def test_whatever_happens_everything_is_delivered_once(
    moves: list[Any], ahead: int, per_domain: int, at_once: int
) -> None:
    async def play() -> None:
        bench = Bench()
        async with bench.running():
            for number, move in enumerate(moves):
                match move:
                    case "hold":
                        with bench.queue.holding():
                            await settled()
                    case "later":
                        await bench.turn(timedelta(minutes=1))
                    case ("done", index, minutes):
                        if bench.rounds.open:
                            own = bench.rounds.open[index % len(bench.rounds.open)]
                            again = bench.clock.now() - NOON + timedelta(minutes=minutes or 0)
                            await bench.rounds.let(own, again_in=again if minutes else None)
                    case recipients:
                        await bench.offer(new_message(number, *recipients))
                await settled()
            for _ in range(3):
                await bench.rounds.deliver_all()
                await bench.turn(timedelta(minutes=2))
            assert not bench.journal.queued
        assert len(bench.rounds.delivered) == len(set(bench.rounds.delivered))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(queue, "LOOK_AHEAD", ahead)
        patch.setattr(hands, "PER_DOMAIN", per_domain)
        patch.setattr(hands, "AT_ONCE", at_once)
        asyncio.run(play())
