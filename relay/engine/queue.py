"""The queue: takes up what is due, many messages side by side, each in one hand at a time.

No domain may fill all hands: where one has all that it may have in hand, the rest of its mail waits
and that of others goes first. So a host that hangs holds up nobody else's mail.

    offer ──> a hand is free ─────────────────────────────────────────────────> in hand
          ──> read ahead <── the journal, where more is due than is in memory      │
                  └──────────────────────────────────────────── a hand is free <───┘
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from relay.core.addresses import Domain, parse_address
from relay.core.clock import Clock
from relay.engine.hands import Hands
from relay.engine.in_force import PolicyInForce
from relay.engine.in_hand import InHand
from relay.engine.read_ahead import LOOK_AHEAD, ReadAhead
from relay.engine.records import AFTER_TROUBLE, Records
from relay.engine.rounds import Rounds
from relay.journal.api import JournalError, JournalReader, NewMessage

log = logging.getLogger("relay.engine")

_FOREVER: Final = datetime(9999, 1, 1, tzinfo=UTC)


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
        self._tasks: asyncio.TaskGroup | None = None
        self._hands = Hands()
        self._ahead = ReadAhead()
        # The domains whose mail the journal may have more of that is due than is known here.
        self._unread: frozenset[Domain] = frozenset()
        self._unread_anywhere = True
        self._next_at: datetime | None = None
        self._stopping = False
        self._hurried: set[str] = set()
        self._held = 0

    @property
    def in_hand(self) -> frozenset[str]:
        """The ids of the messages that are being worked on."""
        return self._hands.messages

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Take up nothing more as long as this is entered; what is in hand goes on."""
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            # What waits may be gone by now, or due earlier.
            self._ahead.clear()
            self.wake()

    def hurry(self, message_id: str) -> None:
        """Let a message's recipients that are due not wait for their schedule, this once."""
        self._hurried.add(message_id)
        self.wake()

    def wake(self) -> None:
        """Look into the journal now: something was queued."""
        self._unread_anywhere = True
        self._woken.set()

    def offer(self, message: NewMessage) -> None:
        """Take a message up that was queued just now and is due, or let it wait its turn."""
        if self._blocked or self._unread_anywhere:
            self.wake()
            return
        own = message.envelope.id
        if own in self._hands or own in self._ahead:
            # It was durable before its writer was told so, and the journal was read in between.
            return
        recipients = {one: parse_address(one).domain for one in message.envelope.recipients}
        now = self._with_a_hand(recipients)
        if now:
            # Had mail waited for one of these domains, it would have the free hand by now.
            self._begin(own, now, message, octets=message.envelope.size)
        elif self._unread.isdisjoint(recipients.values()) and len(self._ahead) < LOOK_AHEAD:
            self._ahead.keep(message)
            for recipient, domain in recipients.items():
                self._ahead.add(own, recipient, domain, octets=message.envelope.size)
        else:
            self._unread |= frozenset(recipients.values())

    async def run(self) -> None:
        """Run until `stop`; cancelled, it leaves what is in hand queued, for the next start."""
        async with asyncio.TaskGroup() as self._tasks:
            while not self._stopping:
                self._woken.clear()
                self._next_at = self._look(self._clock.now())
                await self._rest(self._next_at)

    def stop(self) -> None:
        """Take up nothing more; `run` returns when what is in hand is settled."""
        self._stopping = True
        self._woken.set()

    @property
    def _blocked(self) -> bool:
        """Whether nothing may be taken up now.

        While records wait, what is delivered could not be written down.
        """
        return bool(self._held) or self._stopping or self._tasks is None or self._records.behind

    def _look(self, now: datetime) -> datetime | None:
        """Take up what is due; return when to look again if nothing wakes the queue before."""
        if self._held:
            return None
        if self._records.behind:
            return now + AFTER_TROUBLE
        try:
            return self._read(now)
        except JournalError:
            log.exception("the queue can not be read")
            return now + AFTER_TROUBLE

    def _read(self, now: datetime) -> datetime | None:
        """Read on from the journal until all hands are full or all that is due is known."""
        while not self._hands.full:
            crowded = self._hands.crowded
            page = self._journal.due(
                _FOREVER,
                LOOK_AHEAD,
                not_messages=self._hands.messages.union(self._ahead),
                not_domains=crowded,
            )
            due = [entry for entry in page if entry.next_at <= now]
            for entry in due:
                domain = parse_address(entry.recipient).domain
                self._ahead.add(entry.message_id, entry.recipient, domain, octets=entry.octets)
            self._take_up()
            if len(due) < LOOK_AHEAD:
                self._unread_anywhere, self._unread = False, crowded
                return page[len(due)].next_at if len(due) < len(page) else None
        self._unread_anywhere = True
        return None

    def _take_up(self) -> None:
        """Take up what waits in memory, as far as there are hands."""
        for message_id in self._ahead:
            if not any(self._hands.free_for(domain) for domain in self._ahead.domains):
                return
            waiting = self._ahead.waiting(message_id)
            now = self._with_a_hand(waiting.recipients)
            if now:
                self._begin(message_id, now, self._ahead.drop(message_id), octets=waiting.octets)

    def _with_a_hand(self, recipients: Mapping[str, Domain]) -> dict[str, Domain]:
        """Return those recipients whose domains have a hand free."""
        return {one: to for one, to in recipients.items() if self._hands.free_for(to)}

    def _begin(
        self,
        message_id: str,
        recipients: Mapping[str, Domain],
        message: NewMessage | None,
        *,
        octets: int,
    ) -> None:
        assert self._tasks is not None
        self._hands.take(message_id, recipients, octets=octets)
        self._tasks.create_task(self._work(message_id, tuple(recipients), message))

    def _release(self, message_id: str, *, next_at: datetime | None) -> None:
        """Free a hand for what waits; the message itself is due again at `next_at`."""
        self._hands.release(message_id)
        if self._blocked:
            self.wake()
            return
        self._take_up()
        if self._unread_anywhere:
            hand_for_unread = not self._hands.full
        else:
            # Not only of the domains whose hand this was: all hands may have been full.
            hand_for_unread = any(map(self._hands.free_for, self._unread))
        if hand_for_unread or _earlier(next_at, self._next_at):
            self.wake()

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

    async def _work(
        self, message_id: str, recipients: tuple[str, ...], message: NewMessage | None
    ) -> None:
        hurried = message_id in self._hurried
        self._hurried.discard(message_id)
        next_at: datetime | None = self._clock.now()
        try:
            in_force = self._in_force()
            in_hand = self._taken(message_id, recipients, message, hurried=hurried)
            rested = await self._rounds.run(
                in_hand, in_force, schedule=in_force.policy.delivery.schedule
            )
            for notification in rested.notifications:
                self.offer(notification)
            if len(recipients) == len(in_hand.envelope.recipients):
                next_at = rested.next_at
        except JournalError:
            log.exception("message %s stays queued: the journal fails", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        except Exception:
            log.exception("message %s stays queued: an error in the relay itself", message_id)
            await self._clock.sleep_until(self._clock.now() + AFTER_TROUBLE)
        finally:
            self._release(message_id, next_at=next_at)

    def _taken(
        self,
        message_id: str,
        recipients: tuple[str, ...],
        message: NewMessage | None,
        *,
        hurried: bool,
    ) -> InHand:
        """Return what is to be worked on, read from the journal where it is not at hand."""
        if message is not None:
            return InHand(
                envelope=message.envelope,
                content=message.content,
                recipients=recipients,
                hurried=hurried,
            )
        record = self._journal.message(message_id, sessions=False)
        return InHand(
            envelope=record.envelope,
            content=self._journal.content(message_id),
            recipients=recipients,
            attempts=list(record.attempts),
            hurried=hurried,
        )


def _earlier(one: datetime | None, other: datetime | None) -> bool:
    """Compare two times, None being never."""
    return one is not None and (other is None or one < other)
