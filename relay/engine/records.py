"""Writes down what has happened: nobody can refuse that any more.

A message that the next hop has taken was delivered, whether the journal can be written or not. Were
it tried again for want of its record, a full disk would deliver it over and over. Hence the record
waits, and with it the message, until the journal can be written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from datetime import timedelta
from typing import Final

from relay.core.clock import Clock
from relay.journal.api import Batch, JournalError, JournalUnavailable, JournalWriter

log = logging.getLogger("relay.engine")

AFTER_TROUBLE: Final = timedelta(seconds=5)
"""How long to wait when the journal can't be read or written."""


class Records:
    """The journal's writer for what has happened; `run` writes what a client could not wait for."""

    def __init__(self, *, journal: JournalWriter, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._late: deque[Batch] = deque()
        self._left = asyncio.Event()
        self._waiting = 0

    @property
    def behind(self) -> bool:
        """Whether something that has happened is not written yet, because it could not be."""
        return bool(self._late or self._waiting)

    async def write(self, batch: Batch) -> None:
        """Return when `batch` is durable, however long the journal can't be written.

        JournalError: it never can be.
        """
        while True:
            try:
                return await self._journal.write(batch)
            except JournalUnavailable as error:
                _tell(error)
            self._waiting += 1
            try:
                await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
            finally:
                self._waiting -= 1

    async def write_or_later(self, batch: Batch) -> None:
        """Write `batch`, or leave it to `run` where it can't be written now: a client waits.

        A batch with new messages is a promise to somebody else, so JournalUnavailable is raised
        instead, for the client to keep what it has.
        """
        if batch.messages:
            return await self._journal.write(batch)
        try:
            await self._journal.write(batch)
        except JournalUnavailable as error:
            _tell(error)
            self._late.append(batch)
            self._left.set()

    async def run(self) -> None:
        """Write what was left, in order; ends when it is cancelled."""
        while True:
            await self._left.wait()
            self._left.clear()
            while self._late:
                try:
                    await self.write(self._late[0])
                except JournalError:
                    log.exception("a record is lost")
                self._late.popleft()


def _tell(error: JournalUnavailable) -> None:
    log.error("%s; what happened is written down later", error)
