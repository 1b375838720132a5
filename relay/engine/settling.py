"""What follows for each recipient once a round is over: state, bounce, notification. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from relay.core.addresses import parse_address
from relay.core.bounces import make_bounce
from relay.core.codebook import CodeBook
from relay.core.delivery import Policy
from relay.core.outcomes import Failure
from relay.core.records import (
    Attempt,
    BodyType,
    Bounce,
    BounceAction,
    Envelope,
    Notified,
    ReplyMode,
)
from relay.core.steps import Done, GiveUp, Wait
from relay.formats.dsn import original_headers, render_dsn
from relay.journal.api import NewMessage, RecipientState, RecipientUpdate

Settled = Wait | Done | GiveUp
"""The steps at which a recipient rests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """Everything that one journal transaction records of a round's end."""

    updates: tuple[RecipientUpdate, ...]
    bounces: tuple[Bounce, ...]
    notifications: tuple[NewMessage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settler:
    """Settles rounds under the name that this relay reports with."""

    hostname: str
    new_id: Callable[[], str]

    def settle(
        self,
        *,
        envelope: Envelope,
        content: bytes,
        steps: Mapping[str, Settled],
        attempts: Sequence[Attempt],
        tried_now: Collection[str],
        policy: Policy,
        at: datetime,
        client_waits: bool,
    ) -> Settlement:
        """Return what follows from where each recipient rests.

        `tried_now`: those that this round really tried; a recipient that merely goes on waiting
        gets no second record. `client_waits`: the client will get the code itself if nobody was
        delivered to, and then nobody else is notified.
        """
        tell_client = client_waits and not any(isinstance(s, Done) for s in steps.values())
        updates: list[RecipientUpdate] = []
        bounces: list[Bounce] = []
        for recipient, step in steps.items():
            state, next_at = _state(step)
            updates.append(
                RecipientUpdate(
                    message_id=envelope.id, recipient=recipient, state=state, next_at=next_at
                )
            )
            if isinstance(step, Done) or (isinstance(step, Wait) and recipient not in tried_now):
                continue
            own = tuple(a for a in attempts if a.tried(recipient))
            bounces.append(
                self._bounce(
                    envelope=envelope,
                    recipient=recipient,
                    attempts=own,
                    step=step,
                    book=policy.codes,
                    at=at,
                    tell_client=tell_client,
                )
            )
        to_sender = [b for b in bounces if b.notified is Notified.SENDER]
        notifications = (
            (self._notification(envelope, content, to_sender, policy, at),) if to_sender else ()
        )
        return Settlement(
            updates=tuple(updates), bounces=tuple(bounces), notifications=notifications
        )

    def _bounce(
        self,
        *,
        envelope: Envelope,
        recipient: str,
        attempts: tuple[Attempt, ...],
        step: Wait | GiveUp,
        book: CodeBook,
        at: datetime,
        tell_client: bool,
    ) -> Bounce:
        failure: Failure
        will_retry_at: datetime | None
        match step:
            case Wait(until=until, failure=failure):
                action, expired, will_retry_at = BounceAction.DELAYED, False, until
                notified = Notified.NOBODY
            case GiveUp(cause=failure, expired=expired):
                action, will_retry_at = BounceAction.FAILED, None
                if tell_client:
                    notified = Notified.CLIENT
                else:
                    notified = Notified.SENDER if envelope.reverse_path else Notified.NOBODY
            case _:
                assert_never(step)
        return make_bounce(
            bounce_id=self.new_id(),
            envelope=envelope,
            recipient=recipient,
            attempts=attempts,
            failure=failure,
            expired=expired,
            action=action,
            book=book,
            at=at,
            will_retry_at=will_retry_at,
            notified=notified,
        )

    def _notification(
        self,
        envelope: Envelope,
        content: bytes,
        bounces: Sequence[Bounce],
        policy: Policy,
        at: datetime,
    ) -> NewMessage:
        message_id = self.new_id()
        dsn = render_dsn(
            envelope=envelope,
            bounces=bounces,
            headers=original_headers(content),
            reporting_mta=self.hostname,
            message_id=message_id,
            at=at,
        )
        return NewMessage(
            envelope=Envelope(
                id=message_id,
                reverse_path="",
                recipients=(envelope.reverse_path,),
                received_at=at,
                size=len(dsn),
                sha256=hashlib.sha256(dsn).hexdigest(),
                body=BodyType.SEVEN_BIT if dsn.isascii() else BodyType.EIGHT_BIT,
                smtputf8=parse_address(envelope.reverse_path).needs_smtputf8,
                reply_mode=ReplyMode.QUEUED,
                policy=policy.source,
                policy_sha256=policy.sha256,
                message_id_header=f"<{message_id}@{self.hostname}>",
                subject="Undelivered Mail Returned to Sender",
                notification_for=envelope.id,
            ),
            content=dsn,
            state=RecipientState.QUEUED,
            next_at=at,
        )


def _state(step: Settled) -> tuple[RecipientState, datetime | None]:
    match step:
        case Done():
            return RecipientState.DELIVERED, None
        case Wait(until=until):
            return RecipientState.QUEUED, until
        case GiveUp():
            return RecipientState.FAILED, None
        case _:
            assert_never(step)
