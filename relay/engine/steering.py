"""What people may do to mail that the relay has: try it again now, or forget it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from relay.core.clock import Clock
from relay.engine.queue import Queue
from relay.journal.api import (
    Batch,
    Deletion,
    JournalReader,
    JournalWriter,
    RecipientRef,
    RecipientState,
    RecipientStatus,
    RecipientUpdate,
)

PORTION: Final = 500
"""Messages that are deleted in one transaction at most."""
Doomed = Callable[[], Mapping[str, tuple[RecipientStatus, ...]]]
"""Reads the ids of messages to delete, each with where its recipients stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What a retry did: `recipients` of that message are tried now, the others were not queued."""

    message_id: str
    recipients: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """What a deletion did.

    `deleted` messages are gone. Those `undelivered` recipients were still queued, and nothing will
    be sent to them any more. Messages `in_hand` are being sent just now and were left alone.
    """

    deleted: int
    undelivered: tuple[RecipientRef, ...]
    in_hand: tuple[str, ...]


class Steering:
    """Does it in step with the queue, so that nothing is deleted under its hands."""

    def __init__(
        self, *, journal: JournalReader, writer: JournalWriter, queue: Queue, clock: Clock
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._queue = queue
        self._clock = clock

    async def retry(self, message_id: str) -> Retried:
        """Make a message's queued recipients due now; raise NotFound, JournalError.

        The try counts among those of the retry schedule.
        """
        with self._queue.holding():
            record = await asyncio.to_thread(self._journal.message, message_id)
            found = record.envelope.id
            queued = tuple(
                status.recipient
                for status in record.recipients
                if status.state is RecipientState.QUEUED and found not in self._queue.in_hand
            )
            now = self._clock.now()
            updates = tuple(
                RecipientUpdate(
                    message_id=found, recipient=one, state=RecipientState.QUEUED, next_at=now
                )
                for one in queued
            )
            if updates:
                await self._writer.write(Batch(updates=updates))
                self._queue.hurry(found)
        return Retried(message_id=found, recipients=queued)

    async def delete(self, doomed: Doomed, *, unused_sessions: bool = False) -> Deleted:
        """Delete messages with all that is known of them, a portion at a time.

        `doomed` is called in a thread. `unused_sessions` as in `Deletion`. Raises JournalError, and
        whatever `doomed` raises; after a JournalError a part of the messages may be gone.
        """
        with self._queue.holding():
            in_hand = self._queue.in_hand
            found = await asyncio.to_thread(doomed)
            busy = tuple(
                own
                for own, statuses in found.items()
                if own in in_hand or any(s.state is RecipientState.INLINE for s in statuses)
            )
            kept = frozenset(busy)
            gone = tuple(own for own in found if own not in kept)
            # New mail would wait for as long as one transaction takes.
            for begin in range(0, len(gone), PORTION):
                await self._delete(Deletion(messages=gone[begin : begin + PORTION]))
            if unused_sessions:
                await self._delete(Deletion(messages=(), unused_sessions=True))
        return Deleted(
            deleted=len(gone),
            undelivered=tuple(
                RecipientRef(message_id=own, recipient=status.recipient)
                for own in gone
                for status in found[own]
                if status.state is RecipientState.QUEUED
            ),
            in_hand=busy,
        )

    async def _delete(self, deletion: Deletion) -> None:
        await self._writer.write(Batch(deletions=(deletion,)))

    async def check(self) -> None:
        """Return when the journal was written to and it is on disk; raise JournalError."""
        await self._writer.check()
