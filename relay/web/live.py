"""What wakes those who wait for something to happen: event streams, and waits for an outcome.

Nothing is queued for anybody. Who is woken reads the journal from where he was, in a thread and by
a connection of its own; so a slow client costs mail nothing, and one that is gone costs nothing at
all. Light to import.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from relay.journal.api import Batch
from relay.web.tally import Tally

if TYPE_CHECKING:
    from relay.core.notices import Notice

READERS: Final = 32
"""Streams and waits at a time; each holds a connection of the port's."""
NOTICES: Final = 100
"""Notices kept for the streams; the journal has none."""


class NumberedNotice(NamedTuple):
    """A notice and its number, which begins with 1."""

    number: int
    notice: Notice


class Live:
    """Hears of everything from the relay, and counts it; used in the relay's event loop alone.

    It is a `WriteObserver` and a `Channel` of notices.
    """

    def __init__(self, *, readers: int = READERS) -> None:
        self.tally = Tally()
        self._room = readers
        self._notices: deque[NumberedNotice] = deque(maxlen=NOTICES)
        self._notified = 0
        self._changed = asyncio.Event()
        self._watched = False
        self._closed = False

    def __str__(self) -> str:
        return "the management port"

    @property
    def closed(self) -> bool:
        """Whether the port is about to close; streams and waits end."""
        return self._closed

    @property
    def changed(self) -> asyncio.Event:
        """Is set at the next change; take it before looking, and wait for it afterwards."""
        self._watched = True
        return self._changed

    @property
    def full(self) -> bool:
        """Whether there is no room for one more who waits."""
        return self._room == 0

    @property
    def notified(self) -> int:
        """The number of the newest notice; 0 before there is one."""
        return self._notified

    def notices(self, after: int) -> list[NumberedNotice]:
        """Return the notices behind a number, as far as they are kept."""
        return [kept for kept in self._notices if kept.number > after]

    @contextmanager
    def reader(self) -> Iterator[bool]:
        """Take part as one of those who wait; yields False where there is no room."""
        if self._room == 0:
            yield False
            return
        self._room -= 1
        try:
            yield True
        finally:
            self._room += 1

    def written(self, batch: Batch, seconds: float) -> None:
        """Count what became durable, and wake those who wait."""
        self.tally.written(batch, seconds)
        if batch.messages or batch.attempts or batch.bounces:
            self._wake()

    async def deliver(self, notice: Notice) -> bool:
        """Keep a notice for the streams."""
        self._notified += 1
        self._notices.append(NumberedNotice(self._notified, notice))
        self._wake()
        return True

    def close(self) -> None:
        """Let every stream and wait end, so that the port can close."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        if not self._watched:
            return
        self._watched = False
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()
