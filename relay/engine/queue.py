"""The queue: takes up what is due, many messages side by side, each in one hand at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from relay.core.clock import Clock
from relay.engine.in_force import PolicyInForce
from relay.engine.rounds import InHand, Rounds
from relay.journal.api import JournalError, JournalReader

log = logging.getLogger("relay.engine")

AT_ONCE = 100
"""Messages in hand at the same time."""
LOOK_AHEAD = 1000
"""Queued recipients looked at in one go; more are seen as soon as one in hand is settled."""
AFTER_TROUBLE = timedelta(seconds=5)
"""How long the queue rests when the journal can't be written."""

_FOREVER = datetime(9999, 1, 1, tzinfo=UTC)


class Queue:
    """Works off the journal's queued recipients until it is cancelled."""

    def __init__(
        self,
        *,
        journal: JournalReader,
        rounds: Rounds,
        in_force: Callable[[], PolicyInForce],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._rounds = rounds
        self._in_force = in_force
        self._clock = clock
        self._woken = asyncio.Event()
        self._in_hand: set[str] = set()
        self._stopping = False

    def wake(self) -> None:
        """Look again now: something was queued."""
        self._woken.set()

    async def run(self) -> None:
        """Run until `stop`; cancelled, it leaves what is in hand queued, for the next start."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                self._woken.clear()
                now = self._clock.now()
                ready, next_at = self._look(now)
                for message_id, recipients in ready.items():
                    self._in_hand.add(message_id)
                    tasks.create_task(self._work(message_id, tuple(recipients)))
                await self._rest(next_at)

    def stop(self) -> None:
        """Take up nothing more; `run` returns when what is in hand is settled."""
        self._stopping = True
        self._woken.set()

    def _look(self, now: datetime) -> tuple[dict[str, list[str]], datetime | None]:
        """Return what to take up now, and when the next thing after that is due."""
        ready: defaultdict[str, list[str]] = defaultdict(list)
        for entry in self._journal.due(_FOREVER, limit=LOOK_AHEAD):
            if entry.message_id in self._in_hand:
                continue
            if entry.next_at > now:
                return ready, entry.next_at
            if entry.message_id in ready or len(self._in_hand) + len(ready) < AT_ONCE:
                ready[entry.message_id].append(entry.recipient)
        return ready, None

    async def _rest(self, until: datetime | None) -> None:
        """Wait until something is due, finished or queued."""
        if until is None:
            await self._woken.wait()
            return
        async with asyncio.TaskGroup() as waiting:
            sleeper = waiting.create_task(self._clock.sleep_until(until))
            waker = waiting.create_task(self._woken.wait())
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
            sleeper.cancel()
            waker.cancel()

    async def _work(self, message_id: str, recipients: tuple[str, ...]) -> None:
        try:
            in_force = self._in_force()
            record = self._journal.message(message_id)
            message = InHand(
                envelope=record.envelope,
                content=self._journal.content(message_id),
                recipients=recipients,
                attempts=list(record.attempts),
            )
            await self._rounds.run(message, in_force, schedule=in_force.policy.delivery.schedule)
        except JournalError:
            log.exception("message %s stays queued: the journal can not be written", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        except Exception:
            log.exception("message %s stays queued: an error in the relay itself", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        finally:
            self._in_hand.discard(message_id)
            self._woken.set()
