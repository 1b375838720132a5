"""Deleting much mail: no transaction that new mail would wait long for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import record_builders as build

from relay.engine.clock import SystemClock
from relay.engine.steering import PORTION, Steering
from relay.journal.api import Batch, JournalWriter, NewMessage, RecipientState
from relay.journal.sqlite_journal import open_journal

OCTETS = b"Subject: x\r\n\r\nHi\r\n"
MESSAGES = 2 * PORTION + 1


class NothingInHand:
    """A queue that has nothing in hand."""

    in_hand: frozenset[str] = frozenset()

    @contextmanager
    def holding(self) -> Iterator[None]:
        yield


class Told:
    """A writer that tells what it is given before it writes it."""

    def __init__(self, writer: JournalWriter) -> None:
        self._writer = writer
        self.batches: list[Batch] = []

    async def write(self, batch: Batch) -> None:
        self.batches.append(batch)
        await self._writer.write(batch)


def a_message(number: int) -> NewMessage:
    envelope = build.envelope(
        id=f"m{number:016d}", size=len(OCTETS), sha256=sha256(OCTETS).hexdigest()
    )
    return NewMessage(
        envelope=envelope, content=OCTETS, state=RecipientState.DELIVERED, next_at=None
    )


async def test_much_mail_goes_in_portions_and_what_comes_meanwhile_stays(tmp_path: Path) -> None:
    async with open_journal(tmp_path / "journal.sqlite3", bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=tuple(map(a_message, range(MESSAGES)))))
        writer: Any = Told(journal.writer)
        queue: Any = NothingInHand()
        steering = Steering(journal=journal.reader, writer=writer, queue=queue, clock=SystemClock())
        found = {s.envelope.id: s.recipients for s in journal.reader.messages(MESSAGES)}
        late = a_message(MESSAGES)
        async with asyncio.TaskGroup() as tasks:
            deleting = tasks.create_task(steering.delete(lambda: found, unused_sessions=True))
            while not writer.batches:
                await asyncio.sleep(0)
            await journal.writer.write(Batch(messages=(late,)))
        assert deleting.result().deleted == MESSAGES
        left = journal.reader.messages(MESSAGES)
        assert [summary.envelope for summary in left] == [late.envelope]
    deletions = [deletion for batch in writer.batches for deletion in batch.deletions]
    assert [len(deletion.messages) for deletion in deletions] == [PORTION, PORTION, 1, 0]
    assert [deletion.unused_sessions for deletion in deletions] == [False, False, False, True]
