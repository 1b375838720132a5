"""Tries that are made when they are first wanted, or behind a relay's start.

What opens sessions and examines certificates takes as long to load as all that takes mail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from relay.core.clock import Clock

if TYPE_CHECKING:
    from relay.engine.tries import Tries


class LaterTries:
    """Makes the one `Tries` of a relay; `made` is None as long as nobody wanted it."""

    def __init__(
        self, *, hostname: str, allow_external: bool, clock: Clock, new_id: Callable[[], str]
    ) -> None:
        self._hostname = hostname
        self._allow_external = allow_external
        self._clock = clock
        self._new_id = new_id
        self._making = asyncio.Lock()
        self.made: Tries | None = None

    async def make(self) -> Tries:
        """Return it, the first time from modules that are loaded beside the event loop."""
        async with self._making:
            if self.made is None:
                await asyncio.to_thread(import_module, "relay.engine.tries")
                from relay.engine.tries import Tries

                self.made = Tries(
                    hostname=self._hostname,
                    allow_external=self._allow_external,
                    clock=self._clock,
                    new_id=self._new_id,
                )
            return self.made

    def retire(self) -> None:
        """Close the sessions that are kept for other messages; returns at once."""
        if self.made is not None:
            self.made.retire()

    async def close(self) -> None:
        """Close the sessions that are kept for other messages, when none is being tried."""
        if self.made is not None:
            await self.made.close()
