"""What the client is answered: the outcome itself (inline) or a promise (queued)."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Final, assert_never

from relay.core.clock import Clock
from relay.core.codebook import CodeEntry
from relay.core.delivery import Policy
from relay.core.records import Envelope
from relay.core.replies import ReplyMode, StatusCode
from relay.core.routing import ONE_TRY
from relay.core.steps import Done, GiveUp
from relay.engine.compliance import hidden_copy, sender_field, sent_from
from relay.engine.in_force import PolicyInForce
from relay.engine.in_hand import InHand
from relay.engine.observing import Observer
from relay.engine.queue import Queue
from relay.engine.returning import ReturnedMail, Returns
from relay.engine.rounds import Rounds
from relay.engine.settling import Settled
from relay.formats.heads import read_head
from relay.inbound.listeners import Incoming
from relay.inbound.received import received_header
from relay.journal.api import Batch, JournalError, JournalWriter, NewMessage, RecipientState

_HASHED_ASIDE: Final = 262_144
"""Octets from which on hashing takes longer than handing it to another thread."""
_TAKEN: Final = StatusCode(250, "2.0.0")
_NOT_STORED: Final = CodeEntry(
    StatusCode(452, "4.3.1"), "the journal can not be written, try again later"
)


class Acceptor:
    """Takes messages over from the listeners."""

    def __init__(
        self,
        *,
        hostname: str,
        in_force: Callable[[], PolicyInForce],
        rounds: Rounds,
        returns: Returns,
        journal: JournalWriter,
        clock: Clock,
        new_id: Callable[[], str],
        observer: Observer,
        queue: Queue,
    ) -> None:
        self._hostname = hostname
        self._in_force = in_force
        self._rounds = rounds
        self._returns = returns
        self._journal = journal
        self._clock = clock
        self._new_id = new_id
        self._observer = observer
        self._queue = queue

    async def accept(self, incoming: Incoming) -> CodeEntry:
        """Make the message durable, then answer as the policy's `reply` says.

        The policy in force now holds for this message, whatever is loaded meanwhile; a queued one
        is taken up again under the policy of that time.
        """
        in_force = self._in_force()
        policy = in_force.policy
        try:
            originals = self._returns.originals(incoming.recipients)
            message = await self._envelope(incoming, policy, sent=not originals)
            if originals:
                return await self._take_back(
                    ReturnedMail(
                        envelope=message.envelope, content=message.content, originals=originals
                    )
                )
            match policy.delivery.reply:
                case ReplyMode.QUEUED:
                    await self._store(message, RecipientState.QUEUED, policy)
                    return CodeEntry(_TAKEN, f"Ok: queued as {message.envelope.id}")
                case ReplyMode.INLINE:
                    return await self._deliver(message, in_force)
                case _:
                    assert_never(policy.delivery.reply)
        except JournalError:
            return _NOT_STORED

    async def _envelope(self, incoming: Incoming, policy: Policy, *, sent: bool) -> InHand:
        """Make what is kept of a message; one that is `sent` on gets what the policy adds."""
        now = self._clock.now()
        message_id = self._new_id()
        head, switches = read_head(incoming.content), policy.salesforce
        added = received_header(incoming, by=self._hostname, id=message_id, at=now)
        if sent:
            added += sender_field(incoming.reverse_path, head, switches)
        content = added + incoming.content
        if len(content) < _HASHED_ASIDE:
            digest = _sha256(content)
        else:
            digest = await asyncio.get_running_loop().run_in_executor(None, _sha256, content)
        # A recipient named twice gets one copy (RFC 5321 section 4.5.3.1.8 leaves it to us).
        recipients = tuple(dict.fromkeys(incoming.recipients))
        envelope = Envelope(
            id=message_id,
            reverse_path=incoming.reverse_path,
            recipients=recipients,
            received_at=now,
            size=len(content),
            sha256=digest,
            body=incoming.body,
            smtputf8=incoming.smtputf8,
            reply_mode=policy.delivery.reply,
            policy=policy.source,
            policy_sha256=policy.sha256,
            session_id=incoming.session_id,
            message_id_header=head.message_id,
            subject=head.subject,
            dsn=incoming.dsn,
            sent_from=sent_from(incoming.reverse_path, message_id, switches),
        )
        return InHand(
            envelope=envelope,
            content=content,
            recipients=recipients,
            facts=None if incoming.facts is None else incoming.facts.behind(added),
        )

    async def _take_back(self, mail: ReturnedMail) -> CodeEntry:
        batch = await self._returns.take(mail, at=mail.envelope.received_at)
        await self._journal.write(batch)
        for new in batch.messages:
            self._observer.accepted(new.envelope)
        for bounce in batch.bounces:
            self._observer.bounced(bounce)
        self._queue.wake()
        return CodeEntry(_TAKEN, f"Ok: returned mail noted, {mail.envelope.id}")

    async def _deliver(self, message: InHand, in_force: PolicyInForce) -> CodeEntry:
        policy = in_force.policy
        message.client_waits = True
        await self._store(message, RecipientState.INLINE, policy)
        loop = asyncio.get_running_loop()
        rested = await self._rounds.run(
            message,
            in_force,
            schedule=ONE_TRY,
            deadline=loop.time() + policy.delivery.reply_within.total_seconds(),
        )
        for notification in rested.notifications:
            self._queue.offer(notification)
        return _answer(message.envelope, rested.steps, policy)

    async def _store(self, message: InHand, state: RecipientState, policy: Policy) -> None:
        due = message.envelope.received_at if state is RecipientState.QUEUED else None
        new = NewMessage(
            envelope=message.envelope, content=message.content, state=state, next_at=due
        )
        copy = hidden_copy(
            message.envelope, message.content, policy.salesforce, new_id=self._new_id
        )
        # Both have one Message-ID; the one that is recorded last is found by it.
        both = (new,) if copy is None else (copy, new)
        await self._journal.write(Batch(messages=both))
        for stored in both:
            self._observer.accepted(stored.envelope)
            if stored.state is RecipientState.QUEUED:
                self._queue.offer(stored)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _answer(envelope: Envelope, steps: dict[str, Settled], policy: Policy) -> CodeEntry:
    """Answer with the first recipient's failure, or with 250 where anybody was delivered to."""
    delivered = sum(isinstance(step, Done) for step in steps.values())
    if delivered == len(steps):
        return CodeEntry(_TAKEN, f"Ok: delivered, {envelope.id}")
    if delivered:
        return CodeEntry(
            _TAKEN,
            f"Ok: delivered to {delivered} of {len(steps)}, {_told(envelope, policy)}, "
            f"{envelope.id}",
        )
    first = next(iter(steps.values()))
    assert isinstance(first, GiveUp), "one round without a schedule ends in an outcome"
    return policy.codes.entry(first.cause)


def _told(envelope: Envelope, policy: Policy) -> str:
    """Say what becomes of the failures in a message that others got."""
    management = policy.salesforce.bounces
    if not envelope.reverse_path:
        return "the others are lost"
    if management is not None and not management.return_to_sender:
        return "bounce management noted the others"
    return "the others get a notification"
