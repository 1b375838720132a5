"""The queue: takes up what is due, many messages side by side, each in one hand at a time.

No domain may fill all hands: where one has `PER_DOMAIN` messages in hand, the rest of its mail
waits and that of others goes first. So a host that hangs holds up nobody else's mail.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from relay.core.addresses import Domain, parse_address
from relay.core.clock import Clock
from relay.engine.in_force import PolicyInForce
from relay.engine.records import AFTER_TROUBLE, Records
from relay.engine.rounds import InHand, Rounds
from relay.journal.api import DueRecipient, JournalError, JournalReader

log = logging.getLogger("relay.engine")

AT_ONCE: Final = 100
"""Messages in hand at the same time."""
PER_DOMAIN: Final = 20
"""Messages to one domain in hand at the same time."""
LOOK_AHEAD: Final = 1000
"""Queued recipients looked at in one go; more are seen as soon as one in hand is settled."""

_FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Hands:
    """What is in hand and what is to be taken up: recipients by message, messages by domain."""

    busy: Counter[Domain]
    taken: int
    ready: defaultdict[str, dict[str, Domain]] = field(default_factory=lambda: defaultdict(dict))

    @property
    def crowded(self) -> frozenset[Domain]:
        return frozenset(domain for domain, count in self.busy.items() if count >= PER_DOMAIN)

    def take(self, entry: DueRecipient) -> None:
        """Take a recipient up if there is a hand for it."""
        domain = parse_address(entry.recipient).domain
        if entry.message_id not in self.ready and self.taken + len(self.ready) >= AT_ONCE:
            return
        together = self.ready.get(entry.message_id, {})
        if domain not in together.values():
            if self.busy[domain] >= PER_DOMAIN:
                return
            self.busy[domain] += 1
        self.ready[entry.message_id][entry.recipient] = domain


class Queue:
    """Works off the journal's queued recipients until it is cancelled."""

    def __init__(
        self,
        *,
        journal: JournalReader,
        rounds: Rounds,
        records: Records,
        in_force: Callable[[], PolicyInForce],
        clock: Clock,
    ) -> None:
        self._journal = journal
        self._rounds = rounds
        self._records = records
        self._in_force = in_force
        self._clock = clock
        self._woken = asyncio.Event()
        self._in_hand: dict[str, frozenset[Domain]] = {}
        self._stopping = False
        self._hurried: set[str] = set()
        self._held = 0

    @property
    def in_hand(self) -> frozenset[str]:
        """The ids of the messages that are being worked on."""
        return frozenset(self._in_hand)

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Take up nothing more as long as this is entered; what is in hand goes on."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            self._woken.set()

    def hurry(self, message_id: str) -> None:
        """Let a message's recipients that are due not wait for their schedule, this once."""
        self._hurried.add(message_id)
        self._woken.set()

    def wake(self) -> None:
        """Look again now: something was queued."""
        self._woken.set()

    async def run(self) -> None:
        """Run until `stop`; cancelled, it leaves what is in hand queued, for the next start."""
        async with asyncio.TaskGroup() as tasks:
            while not self._stopping:
                self._woken.clear()
                ready, next_at = self._look(self._clock.now())
                for message_id, recipients in ready.items():
                    self._in_hand[message_id] = frozenset(recipients.values())
                    tasks.create_task(self._work(message_id, tuple(recipients)))
                await self._rest(next_at)

    def stop(self) -> None:
        """Take up nothing more; `run` returns when what is in hand is settled."""
        self._stopping = True
        self._woken.set()

    def _look(self, now: datetime) -> tuple[dict[str, dict[str, Domain]], datetime | None]:
        """Return what to take up now, and when to look again if nothing wakes the queue before.

        Nothing is taken up while records wait: what is delivered then could not be written down.
        """
        if self._held:
            return {}, None
        if self._records.behind:
            return {}, now + AFTER_TROUBLE
        try:
            return self._due(now)
        except JournalError:
            log.exception("the queue can not be read")
            return {}, now + AFTER_TROUBLE

    def _due(self, now: datetime) -> tuple[dict[str, dict[str, Domain]], datetime | None]:
        hands = _Hands(
            busy=Counter(domain for domains in self._in_hand.values() for domain in domains),
            taken=len(self._in_hand),
        )
        while True:
            crowded = hands.crowded
            page = self._journal.due(
                _FOREVER, LOOK_AHEAD, not_messages=self._in_hand, not_domains=crowded
            )
            for entry in page:
                if entry.next_at > now:
                    return hands.ready, entry.next_at
                hands.take(entry)
            # Behind a page full of mail to a domain that is crowded by now, others' may wait.
            if len(page) < LOOK_AHEAD or hands.crowded == crowded:
                return hands.ready, None

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
        hurried = message_id in self._hurried
        self._hurried.discard(message_id)
        try:
            in_force = self._in_force()
            record = self._journal.message(message_id)
            message = InHand(
                envelope=record.envelope,
                content=self._journal.content(message_id),
                recipients=recipients,
                attempts=list(record.attempts),
                hurried=hurried,
            )
            await self._rounds.run(message, in_force, schedule=in_force.policy.delivery.schedule)
        except JournalError:
            log.exception("message %s stays queued: the journal fails", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        except Exception:
            log.exception("message %s stays queued: an error in the relay itself", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        finally:
            del self._in_hand[message_id]
            self._woken.set()
