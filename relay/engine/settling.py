"""What follows for each recipient once a round is over: state, bounce, notification. Pure."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from relay.core.addresses import domain_of, parse_address
from relay.core.bounces import make_bounce
from relay.core.delivery import Policy
from relay.core.dsn import Notify
from relay.core.outcomes import Delivered, Outcome
from relay.core.records import Attempt, BodyType, Bounce, BounceAction, Envelope, Notified
from relay.core.replies import ReplyMode, StatusCode
from relay.core.routing import RouteOrigin
from relay.core.salesforce import BounceManagement
from relay.core.steps import Done, GiveUp, Wait
from relay.core.tls_policy import strictest
from relay.formats.dsn import (
    DsnAction,
    ReportedRecipient,
    render_dsn,
    reported_bounce,
    subject_of,
)
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
class Round:
    """A round that is over: where each recipient rests, and how it came to that.

    `attempts` are all that were ever made. `tried_now`: those whom this round really tried; a
    recipient that merely goes on waiting gets no second record. `client_waits`: the client will
    get the code itself if nobody was delivered to, and then nobody else is notified.
    """

    envelope: Envelope
    content: bytes
    steps: Mapping[str, Settled]
    attempts: Sequence[Attempt]
    tried_now: Collection[str]
    policy: Policy
    at: datetime
    client_waits: bool

    @property
    def tells_client(self) -> bool:
        """Whether the client is told of the failures, in the reply to DATA."""
        return self.client_waits and not any(isinstance(s, Done) for s in self.steps.values())


class _Ended:
    """What is asked of a round for its recipients, worked out once however many it has."""

    def __init__(self, over: Round) -> None:
        self.tells_client: Final = over.tells_client
        self._ended: defaultdict[str, list[tuple[Attempt, Outcome]]] = defaultdict(list)
        for attempt in over.attempts:
            for entry in attempt.outcomes:
                self._ended[entry.recipient].append((attempt, entry.outcome))

    def attempts(self, recipient: str) -> Sequence[tuple[Attempt, Outcome]]:
        """Return one recipient's attempts, oldest first, with how each ended for it."""
        return self._ended[recipient]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settler:
    """Settles rounds under the name that this relay reports with.

    `earlier_soft` counts an address's soft bounces, as far as a rule for bounces asks.
    """

    hostname: str
    new_id: Callable[[], str]
    earlier_soft: Callable[[str, BounceManagement | None], int] = lambda _address, _management: 0

    def settle(self, over: Round) -> Settlement:
        """Return what follows from where each recipient rests."""
        updates: list[RecipientUpdate] = []
        bounces: list[Bounce] = []
        reported: list[ReportedRecipient] = []
        ended: _Ended | None = None
        for recipient, step in over.steps.items():
            state, next_at = _state(step)
            updates.append(
                RecipientUpdate(
                    message_id=over.envelope.id, recipient=recipient, state=state, next_at=next_at
                )
            )
            match step:
                case Done() if _asked_for_success(over.envelope, recipient):
                    ended = ended or _Ended(over)
                    reported += _success(over, ended, recipient)
                case Done():
                    pass
                case Wait() if recipient not in over.tried_now:
                    pass
                case Wait() | GiveUp():
                    ended = ended or _Ended(over)
                    bounce = self._bounce(over, ended, recipient, step)
                    bounces.append(bounce)
                    if bounce.notified is Notified.SENDER:
                        original = over.envelope.dsn.of(recipient).original
                        reported.append(reported_bounce(bounce, original=original))
                case _:
                    assert_never(step)
        return Settlement(
            updates=tuple(updates),
            bounces=tuple(bounces),
            notifications=(self._notification(over, reported),) if reported else (),
        )

    def _bounce(self, over: Round, ended: _Ended, recipient: str, step: Wait | GiveUp) -> Bounce:
        attempts = ended.attempts(recipient)
        match step:
            case Wait(failure=failure):
                action, expired = BounceAction.DELAYED, False
            case GiveUp(cause=failure, expired=expired):
                action = BounceAction.FAILED
            case _:
                assert_never(step)
        return make_bounce(
            bounce_id=self.new_id(),
            envelope=over.envelope,
            recipient=recipient,
            attempts=attempts,
            failure=failure,
            expired=expired,
            action=action,
            book=over.policy.codes,
            at=over.at,
            will_retry_at=step.until if isinstance(step, Wait) else None,
            notified=Notified.CLIENT
            if ended.tells_client
            else _notified(over, recipient, action, first=attempts[-1][0].round == 1),
            management=over.policy.salesforce.bounces,
            through_relay=_through_relay(over, recipient),
            earlier_soft=self.earlier_soft(recipient, over.policy.salesforce.bounces),
        )

    def _notification(self, over: Round, reported: Sequence[ReportedRecipient]) -> NewMessage:
        """Make the notification a message of its own, queued like any other."""
        about, message_id = over.envelope, self.new_id()
        dsn = render_dsn(
            envelope=about,
            recipients=reported,
            content=over.content,
            reporting_mta=self.hostname,
            message_id=message_id,
            at=over.at,
        )
        settings = [
            over.policy.way(
                parse_address(recipient).domain, sender=domain_of(about.reverse_path)
            ).tls.policy.setting
            for recipient in about.recipients
        ]
        return NewMessage(
            envelope=Envelope(
                id=message_id,
                reverse_path="",
                recipients=(about.reverse_path,),
                received_at=over.at,
                size=len(dsn),
                sha256=hashlib.sha256(dsn).hexdigest(),
                body=BodyType.SEVEN_BIT if dsn.isascii() else BodyType.EIGHT_BIT,
                smtputf8=parse_address(about.reverse_path).needs_smtputf8,
                reply_mode=ReplyMode.QUEUED,
                policy=over.policy.source,
                policy_sha256=over.policy.sha256,
                message_id_header=f"<{message_id}@{self.hostname}>",
                subject=subject_of({entry.action for entry in reported}),
                notification_for=about.id,
                protect_as=strictest(settings),
            ),
            content=dsn,
            state=RecipientState.QUEUED,
            next_at=over.at,
        )


def _asked_for_success(envelope: Envelope, recipient: str) -> bool:
    """Whether there is a sender that asked to hear of this delivery."""
    if not envelope.dsn.recipients or not envelope.reverse_path:
        return False
    return envelope.dsn.of(recipient).wants(Notify.SUCCESS)


def _success(over: Round, ended: _Ended, recipient: str) -> list[ReportedRecipient]:
    """Report a delivery, where the next hop will not do it.

    RFC 3461 section 5.2.2: a relay to a host without the extension reports `relayed`.
    """
    attempt, outcome = ended.attempts(recipient)[-1]
    assert isinstance(outcome, Delivered)
    if outcome.dsn:
        return []
    host = attempt.hop.host if attempt.hop else None
    return [
        ReportedRecipient(
            recipient=recipient,
            original=over.envelope.dsn.of(recipient).original,
            action=DsnAction.RELAYED,
            status=StatusCode(250, "2.0.0"),
            diagnostic=str(outcome.reply),
            host=host,
            at=over.at,
            will_retry_until=None,
            words=(f"host: {host}", f"it said: {outcome.reply}"),
        )
    ]


def _notified(over: Round, recipient: str, action: BounceAction, *, first: bool) -> Notified:
    """Say who is told of a failure that the client is not: the sender, as far as it asked."""
    if not over.envelope.reverse_path:
        return Notified.NOBODY
    request = over.envelope.dsn.of(recipient)
    match action:
        case BounceAction.FAILED:
            told = request.wants(Notify.FAILURE)
        case BounceAction.DELAYED:
            # Once is enough: of the first delay.
            told = first and request.wants(Notify.DELAY)
        case _:
            assert_never(action)
    if not told:
        return Notified.NOBODY
    management = over.policy.salesforce.bounces
    returns = management is None or management.return_to_sender
    return Notified.SENDER if returns else Notified.BOUNCE_MANAGEMENT


def _through_relay(over: Round, recipient: str) -> bool:
    """Whether the hosts are those of a relay, not the recipient's own."""
    sender = domain_of(over.envelope.reverse_path)
    route = over.policy.way(parse_address(recipient).domain, sender=sender).route
    return route.origin in {RouteOrigin.RELAY, RouteOrigin.EMAIL_RELAY}


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
