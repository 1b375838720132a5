"""One timer for all waits of a connection."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod


class Alarmed(ABC):
    """A protocol that waits for many things, one after the other, each with an end of its own.

    The timer of an earlier wait stays set: it looks again when it rings too early, so that a
    connection sets one for many waits. `_too_late_at` is when the last wait ends, a time of the
    event loop.
    """

    _loop: asyncio.AbstractEventLoop
    _too_late_at = 0.0
    _rings_at = 0.0
    _timer: asyncio.TimerHandle | None = None

    def _wait_until(self, due: float) -> None:
        """Set when the wait that begins now ends; `_ring` is called then."""
        self._too_late_at = due
        if self._timer is None or self._rings_at > due:
            self._wait_for_nothing()
            self._set()

    def _wait_for_nothing(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @abstractmethod
    def _ring(self) -> None:
        """Tell whoever still waits that it is too late."""

    def _set(self) -> None:
        self._rings_at = self._too_late_at
        self._timer = self._loop.call_at(self._rings_at, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._loop.time() < self._too_late_at:
            self._set()
        else:
            self._ring()
