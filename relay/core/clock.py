"""Time as a port: whoever needs it is handed a clock."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """A clock: the system's, or one that a test turns by hand. Times carry UTC."""

    def now(self) -> datetime:
        """Return the current time, aware, in UTC."""
        ...

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when`, or at once where that is past."""
        ...
