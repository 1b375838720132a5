"""What has happened is written down once the journal can be written, and is tried no more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import record_builders as build

from relay.engine.records import Records
from relay.journal.api import (
    Batch,
    JournalError,
    JournalUnavailable,
    NewMessage,
    RecipientState,
    RecipientUpdate,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class FakeJournal:
    """Fails as often as it is told to, then keeps what it is given."""

    def __init__(self, *troubles: JournalError) -> None:
        self.troubles = list(troubles)
        self.kept: list[Batch] = []
        self.tried = asyncio.Event()

    async def write(self, batch: Batch) -> None:
        self.tried.set()
        if self.troubles:
            raise self.troubles.pop(0)
        self.kept.append(batch)

    async def close(self) -> None:
        pass


class Clock:
    """Sleeps end when the test says so."""

    def __init__(self) -> None:
        self.sleeping = asyncio.Event()
        self.wake = asyncio.Event()

    def now(self) -> datetime:
        return NOON

    async def sleep_until(self, when: datetime) -> None:
        assert when > NOON
        self.sleeping.set()
        await self.wake.wait()


def update(number: int) -> Batch:
    changed = RecipientUpdate(
        message_id=str(number), recipient="a@b.test", state=RecipientState.DELIVERED, next_at=None
    )
    return Batch(updates=(changed,))


def notification() -> Batch:
    new = NewMessage(
        envelope=build.envelope(), content=b"", state=RecipientState.QUEUED, next_at=NOON
    )
    return Batch(messages=(new,))


@contextlib.asynccontextmanager
async def running(records: Records) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(records.run())
        yield
        task.cancel()


async def test_a_record_waits_until_it_can_be_written() -> None:
    journal, clock = FakeJournal(JournalUnavailable("full"), JournalUnavailable("full")), Clock()
    records = Records(journal=journal, clock=clock)
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(records.write(update(1)))
        await clock.sleeping.wait()
        assert records.behind
        assert not writing.done()
        clock.wake.set()
    assert journal.kept == [update(1)]
    assert not records.behind


async def test_a_client_does_not_wait_and_nothing_is_left_out() -> None:
    journal, clock = FakeJournal(JournalUnavailable("full"), JournalUnavailable("full")), Clock()
    records = Records(journal=journal, clock=clock)
    async with running(records):
        await records.write_or_later(update(1))
        await clock.sleeping.wait()
        assert records.behind
        await records.write_or_later(update(2))
        clock.wake.set()
        async with asyncio.timeout(5):
            while records.behind:
                await asyncio.sleep(0)
    assert sorted(batch.updates[0].message_id for batch in journal.kept) == ["1", "2"]


async def test_a_notification_is_promised_only_when_it_is_on_disk() -> None:
    records = Records(journal=FakeJournal(JournalUnavailable("full")), clock=Clock())
    with pytest.raises(JournalUnavailable):
        await records.write_or_later(notification())
    assert not records.behind


async def test_what_can_never_be_written_is_not_tried_again() -> None:
    journal, clock = FakeJournal(JournalError("no such message")), Clock()
    records = Records(journal=journal, clock=clock)
    with pytest.raises(JournalError, match="no such message"):
        await records.write(update(1))
    assert not clock.sleeping.is_set()


async def test_a_late_record_that_can_never_be_written_holds_up_no_other() -> None:
    troubles = (JournalUnavailable("full"), JournalError("damaged"))
    journal, clock = FakeJournal(*troubles), Clock()
    records = Records(journal=journal, clock=clock)
    async with running(records):
        await records.write_or_later(update(1))
        async with asyncio.timeout(5):
            while records.behind:
                await asyncio.sleep(0)
        await records.write_or_later(update(2))
    assert journal.kept == [update(2)]
