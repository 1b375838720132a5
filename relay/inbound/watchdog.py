"""One timer of a session, which costs nothing while the client keeps talking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Watchdog:
    """Calls `alarm` once a deadline has passed, unless it was moved or lifted before.

    A deadline that only moves on is noted, and no timer is touched: the one that was set first
    rings early and is set anew.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, alarm: Callable[[], None]) -> None:
        self._loop = loop
        self._alarm = alarm
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        # Not the timer's own account: a loop may round it.
        self._rings_at = 0.0

    def expect(self, deadline: float) -> None:
        """Ring at `deadline`, in the loop's time."""
        self._deadline = deadline
        if self._timer is None or self._rings_at > deadline:
            self._set(deadline)

    def calm(self) -> None:
        """Ring no more, until told to."""
        self._deadline = None

    def stop(self) -> None:
        """Ring never again."""
        self._deadline = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._ring)
        self._rings_at = deadline

    def _ring(self) -> None:
        self._timer = None
        if self._deadline is None:
            return
        if self._loop.time() < self._deadline:
            self._set(self._deadline)
            return
        self._deadline = None
        self._alarm()
