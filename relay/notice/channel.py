"""A way that notices go, behind a bounded queue: nothing waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final, Protocol

from relay.core.notices import Notice

log = logging.getLogger("relay.notice")

KEPT: Final = 1000
"""Notices that wait for one channel at most."""


class Channel(Protocol):
    """A way to tell people; `str()` names it in the log."""

    async def deliver(self, notice: Notice) -> bool:
        """Return whether the notice was taken; what went wrong is in the log."""
        ...


class Outbox:
    """Hands notices to a channel, one after the other; past `kept`, the oldest is dropped."""

    def __init__(self, channel: Channel, *, kept: int = KEPT) -> None:
        self._channel = channel
        self._kept = kept
        self._waiting: deque[Notice] = deque()
        self._changed = asyncio.Event()
        self._in_hand = 0
        self._finishing = False
        self._dropped = 0

    @property
    def unsent(self) -> int:
        """How many notices were neither taken nor given up yet."""
        return len(self._waiting) + self._in_hand

    @property
    def dropped(self) -> int:
        """How many notices had to make room for newer ones."""
        return self._dropped

    def offer(self, notice: Notice) -> None:
        """Queue a notice; returns at once."""
        if len(self._waiting) >= self._kept:
            oldest = self._waiting.popleft()
            self._dropped += 1
            log.warning(
                "%s is behind: a notice about %s is dropped, %d so far",
                self._channel,
                oldest.domain,
                self._dropped,
            )
        self._waiting.append(notice)
        self._changed.set()

    def finish(self) -> None:
        """Let `run` return when nothing waits any more."""
        self._finishing = True
        self._changed.set()

    async def run(self) -> None:
        """Deliver until `finish`."""
        while self._waiting or not self._finishing:
            self._changed.clear()
            while self._waiting:
                notice = self._waiting.popleft()
                self._in_hand = 1
                try:
                    await self._channel.deliver(notice)
                except Exception:
                    log.exception("%s: a notice about %s broke", self._channel, notice.domain)
                self._in_hand = 0
            if not self._finishing:
                await self._changed.wait()
