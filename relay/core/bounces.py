"""Bounces: one recipient's failure, told from its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from relay.core.codebook import CodeBook
from relay.core.failure_kinds import failure_kind
from relay.core.failure_remedies import REMEDIES
from relay.core.fault_cards import card
from relay.core.faults import FaultClass, ResultType, TlsFault
from relay.core.outcomes import (
    ConnectionFailure,
    DnsFailure,
    DnsProblem,
    Failure,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Stage,
    TlsRefusal,
)
from relay.core.records import Attempt, Bounce, BounceAction, Envelope, MatchedRule, Notified
from relay.core.replies import StatusCode
from relay.core.salesforce import BounceManagement
from relay.core.salesforce_view import SaidBy, salesforce_view

EXPIRED: Final = LocalRefusal(problem=LocalProblem.EXPIRED, detail="the retry schedule is used up")


@dataclass(frozen=True, slots=True)
class Explanation:
    """A failure in plain words: what it was, and who should do what, a sentence or two each."""

    cause: str
    remedy: str


def explain_failure(failure: Failure) -> Explanation:
    """Tell a failure in plain words."""
    kind = failure_kind(failure)
    match failure:
        case TlsRefusal(faults=(first, *_) as faults, setting=setting):
            found = " ".join(f"{card(f).meaning} ({f.detail})" for f in faults)
            if card(first).fault_class is FaultClass.CERTIFICATE or not setting.requires_tls:
                wanted = "a trustworthy certificate"
            else:
                wanted = "TLS and a trustworthy certificate" if setting.verifies else "TLS"
            return Explanation(f"{found} {setting.label} demands {wanted}.", card(first).remedy)
        case TlsRefusal(setting=setting):
            return Explanation(
                f"No TLS session came about; {setting.label} demands one.",
                "Read the session's transcript.",
            )
        case PeerRefusal(reply=reply, stage=stage):
            return Explanation(
                f"The host itself refused {stage.value}: {reply}.",
                "The host's words say why; its administrator can say more."
                if reply.permanent
                else "The host asks to try again later.",
            )
        case DnsFailure(name=name, problem=unfound):
            assert kind is not None
            return Explanation(_unfound(unfound, name), REMEDIES[kind])
        case ConnectionFailure(stage=stage, problem=problem, detail=detail):
            assert kind is not None
            return Explanation(
                f"The connection to the host failed {stage.value}: {problem.value} ({detail}).",
                REMEDIES[kind],
            )
        case LocalRefusal(detail=detail):
            assert kind is not None
            return Explanation(f"This relay did not go on: {detail}.", REMEDIES[kind])
        case _:
            assert_never(failure)


def _unfound(problem: DnsProblem, name: str) -> str:
    match problem:
        case DnsProblem.NO_HOST:
            return f"No host was found for {name!r}."
        case DnsProblem.LOOKUP_FAILED:
            return f"No host was found for {name!r}: the look-up failed."
        case DnsProblem.NULL_MX:
            return f"The domain {name!r} takes no mail: its only MX record is null (RFC 7505)."
        case DnsProblem.LOOPS_BACK:
            return f"Mail for {name!r} would come back: the best host left is this relay itself."
        case _:
            assert_never(problem)


def faults_of(failure: Failure) -> tuple[TlsFault, ...]:
    """Return the TLS faults behind a failure, none for other failures."""
    return failure.faults if isinstance(failure, TlsRefusal) else ()


def result_type_of(failure: Failure) -> ResultType | None:
    """Return the RFC 8460 result type of a failure; None where TLS is not the cause."""
    faults = faults_of(failure)
    return card(faults[0]).result_type if faults else None


def make_bounce(
    *,
    bounce_id: str,
    envelope: Envelope,
    recipient: str,
    attempts: Sequence[tuple[Attempt, Outcome]],
    failure: Failure,
    expired: bool,
    action: BounceAction,
    book: CodeBook,
    at: datetime,
    will_retry_at: datetime | None,
    notified: Notified,
    management: BounceManagement | None = None,
    through_relay: bool = False,
    earlier_soft: int = 0,
) -> Bounce:
    """Build the record of one recipient's failure.

    `attempts` are the recipient's own, oldest first, and at least one, each with how it ended for
    the recipient. `failure` is the cause; with
    `expired` the reported code is that of an expired queue and the cause keeps its own.
    `through_relay`: the hosts are not the recipient's own. `earlier_soft` as in `salesforce_view`.
    """
    # With several hosts the cause need not be the last one's: a host that may recover outweighs it.
    last = next(
        (a for a, ended in reversed(attempts) if getattr(ended, "failure", None) == failure),
        attempts[-1][0],
    )
    cause = book.entry(failure)
    reported = book.entry(EXPIRED) if expired else cause
    words = explain_failure(failure)
    return Bounce(
        id=bounce_id,
        message_id=envelope.id,
        recipient=recipient,
        reverse_path=envelope.reverse_path,
        action=action,
        status=reported.status,
        text=reported.text,
        cause_status=cause.status,
        cause_text=cause.text,
        cause=words.cause,
        remedy=words.remedy,
        result_type=result_type_of(failure),
        faults=faults_of(failure),
        setting=last.rule.setting,
        rule=last.rule,
        route=last.route,
        host=last.hop.host if last.hop else None,
        address=f"{last.hop.address}:{last.hop.port}" if last.hop else None,
        stage=failure.stage,
        attempts=len({attempt.round for attempt, _ in attempts}),
        session_id=last.session_id,
        at=at,
        will_retry_at=will_retry_at,
        notified=notified,
        salesforce=salesforce_view(
            status=reported.status,
            text=f"{reported.text} (last: {cause})" if expired else reported.text,
            final=action is BounceAction.FAILED,
            said_by=_said_by(failure, through_relay=through_relay),
            earlier_soft=earlier_soft,
            management=management,
            at=at,
        ),
    )


def _said_by(failure: Failure, *, through_relay: bool) -> SaidBy:
    match failure:
        case PeerRefusal():
            return SaidBy.OTHER_HOST if through_relay else SaidBy.RECIPIENT_HOST
        case LocalRefusal(problem=LocalProblem.SUPPRESSED):
            return SaidBy.SUPPRESSION
        case _:
            return SaidBy.THIS_RELAY


def make_returned_bounce(
    *,
    bounce_id: str,
    original: Envelope,
    recipient: str,
    rule: MatchedRule,
    route: str,
    host: str | None,
    session_id: str | None,
    attempts: int,
    status: StatusCode,
    text: str,
    action: BounceAction,
    returned_in: str,
    at: datetime,
    notified: Notified,
    management: BounceManagement | None,
    earlier_soft: int,
) -> Bounce:
    """Build the record of a failure that a notification reported after the host took the message.

    `rule`, `route`, `session_id` and `attempts` are those of the recipient's last attempt. `host`
    is the one that refused, as the notification has it, or else the one that took the message.
    `returned_in` is the id of the message that came back.
    """
    delayed = action is BounceAction.DELAYED
    return Bounce(
        id=bounce_id,
        message_id=original.id,
        recipient=recipient,
        reverse_path=original.reverse_path,
        action=action,
        status=status,
        text=text,
        cause_status=status,
        cause_text=text,
        cause=(
            "The host took the message and reported later that it "
            f"{'is delayed' if delayed else 'could not be delivered'}: {status} {text}."
        ),
        remedy=(
            "Wait: that host goes on trying."
            if delayed
            else "The host's words say why; its administrator can say more."
        ),
        result_type=None,
        faults=(),
        setting=rule.setting,
        rule=rule,
        route=route,
        host=host,
        address=None,
        stage=Stage.OUT_OF_BAND,
        attempts=attempts,
        session_id=session_id,
        at=at,
        will_retry_at=None,
        notified=notified,
        returned_in=returned_in,
        salesforce=salesforce_view(
            status=status,
            text=text,
            final=not delayed,
            said_by=SaidBy.RECIPIENT_HOST,
            earlier_soft=earlier_soft,
            management=management,
            at=at,
        ),
    )
