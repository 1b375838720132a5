"""Hears all that the relay records, for those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.engine.outcome_wait import Happened, Wish
from relay.journal.api import Batch


class Hearing:
    """An `Observer` and a `WriteObserver`; used in the relay's event loop alone.

    Times are in seconds, by the loop's clock and not by the relay's.
    """

    def __init__(self) -> None:
        self._heard: list[Attempt | Bounce] = []
        self._changed = asyncio.Event()

    def accepted(self, envelope: Envelope) -> None:
        """Wake those who wait."""
        self._wake()

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Keep an attempt."""
        self._heard.append(attempt)
        self._wake()

    def bounced(self, bounce: Bounce) -> None:
        """Keep a bounce."""
        self._heard.append(bounce)
        self._wake()

    def written(self, batch: Batch, seconds: float) -> None:
        """Wake those who wait."""
        self._wake()

    def forget(self) -> None:
        """Forget what was heard; whoever waits goes on waiting."""
        self._heard = []

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, condition: Callable[[], bool], *, within: float) -> None:
        """Return when a condition holds, looked at after each change; raise TimeoutError."""
        async with asyncio.timeout(within):
            while True:
                changed = self._changed
                if condition():
                    return
                await changed.wait()

    async def first(self, wish: Wish, *, within: float) -> Happened:
        """Return the first thing that meets a wish, of all since the last `forget`."""
        heard, seen = self._heard, 0
        async with asyncio.timeout(within):
            while True:
                changed = self._changed
                if heard is not self._heard:
                    heard, seen = self._heard, 0
                for record in heard[seen:]:
                    if (happened := wish.met_by(record)) is not None:
                        return happened
                seen = len(heard)
                await changed.wait()
