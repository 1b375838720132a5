"""Keeps the journal small: forgets settled mail by count and age while mail goes on."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final

from relay.core.clock import Clock
from relay.engine.queue import Queue
from relay.journal.api import Batch, Deletion, JournalError, JournalWriter
from relay.journal.pruning import Keep, PruneReader

log = logging.getLogger("relay.engine")

EVERY: Final = timedelta(seconds=30)
"""How long the journal may hold more than it is to keep."""


class Pruner:
    """Prunes at the start and then from time to time, a portion for each transaction."""

    def __init__(
        self,
        *,
        journal: PruneReader,
        writer: JournalWriter,
        queue: Queue,
        keep: Keep,
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._writer = writer
        self._queue = queue
        self._keep = keep
        self._clock = clock

    async def run(self) -> None:
        """Run until it is cancelled."""
        while True:
            try:
                while await self._prune():
                    pass
            except JournalError as error:
                log.warning("the journal is not pruned now: %s", error)
            await self._clock.sleep_until(self._clock.now() + EVERY)

    async def _prune(self) -> bool:
        """Forget one portion; return whether anything went."""
        found = await asyncio.to_thread(self._journal.prunable, self._keep, self._clock.now())
        if found is None:
            return False
        in_hand = self._queue.in_hand
        messages = tuple(own for own in found.messages if own not in in_hand)
        if not messages and not found.sessions:
            return False
        deletion = Deletion(messages=messages, sessions=found.sessions)
        await self._writer.write(Batch(deletions=(deletion,)))
        return True
