"""A clock that stands still until somebody turns it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime


class TurnedClock:
    """A `Clock` under the test's hand; it begins with the system's time."""

    def __init__(self) -> None:
        self._now = datetime.now(UTC)
        self._turned = asyncio.Condition()

    def now(self) -> datetime:
        """Return the time that the clock was turned to last."""
        return self._now

    async def sleep_until(self, when: datetime) -> None:
        """Return as soon as the clock was turned to `when` or beyond."""
        async with self._turned:
            await self._turned.wait_for(lambda: self._now >= when)

    async def turn_to(self, when: datetime) -> None:
        """Turn the clock on to `when`; a time that is past changes nothing."""
        async with self._turned:
            self._now = max(when, self._now)
            self._turned.notify_all()

    def set_right(self) -> None:
        """Set the clock to the system's time, back if need be; nobody is woken by that."""
        self._now = datetime.now(UTC)
