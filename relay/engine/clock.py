"""The system's clock."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial


class SystemClock:
    """The `Clock` that a running relay uses."""

    now = staticmethod(partial(datetime.now, UTC))
    """Return the current time in UTC: asked so often that a function around it would show."""

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when`; a jump of the system's clock is noticed within a minute."""
        while (left := (when - self.now()).total_seconds()) > 0:  # noqa: ASYNC110 - it is the clock
            await asyncio.sleep(min(left, 60))
