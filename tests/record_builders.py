"""Records made by hand for tests of every room; a test names only what it is about.

By default they tell one story: a message `m1` to `a@bank.test`, whose host's certificate has
expired, under a rule that says Required Verify; its session `s1`, its attempt `a1`, its bounce
`b1`. `changes` are fields of the record.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.faults import FaultKind, ResultType, TlsFault
from relay.core.outcomes import Deferred, Delivered, Outcome, Stage, TlsRefusal
from relay.core.records import (
    Attempt,
    BodyType,
    Bounce,
    BounceAction,
    Envelope,
    MatchedRule,
    Notified,
    RecipientOutcome,
    Session,
    SessionDirection,
)
from relay.core.replies import Reply, ReplyMode, StatusCode
from relay.core.routing import Hop
from relay.core.salesforce import MatchingRecords
from relay.core.salesforce_view import BounceKind, FlagReason, SalesforceView
from relay.core.settings import Protection, TlsMode, TlsSetting
from relay.core.verdicts import Terminate

AT: Final = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
RECIPIENT: Final = "a@bank.test"
HOP: Final = Hop(host="mx.bank.test", address="127.0.0.1", port=2525)
RULE: Final = MatchedRule(
    setting=TlsSetting.REQUIRED_VERIFY, pattern="*", reason="because", file="p.yaml", line=3
)
EXPIRED: Final = TlsFault(kind=FaultKind.CERTIFICATE_EXPIRED, detail="expired 2026-03-03")
TEXT: Final = "[internal] remote node SSL certificate not signed by a valid CA"
"""The cause of the bounce, in words."""
REFUSED: Final = Deferred(
    failure=TlsRefusal(setting=TlsSetting.REQUIRED_VERIFY, faults=(EXPIRED,), stage=Stage.HANDSHAKE)
)
OK: Final = Delivered(reply=Reply(code=250, text="2.0.0 ok"), protection=Protection.CLEAR)

_ENVELOPE: Final = Envelope(
    id="m1",
    reverse_path="s@sender.test",
    recipients=(RECIPIENT,),
    received_at=AT,
    size=1,
    sha256="0" * 64,
    body=BodyType.SEVEN_BIT,
    smtputf8=False,
    reply_mode=ReplyMode.QUEUED,
    policy="p.yaml",
    policy_sha256="1" * 64,
)
_SESSION: Final = Session(
    id="s1",
    direction=SessionDirection.OUTBOUND,
    peer="127.0.0.1:2525",
    hop=HOP,
    started_at=AT,
    ended_at=AT,
    evidence=TlsEvidence(
        mode=TlsMode.STARTTLS,
        observed_at=AT,
        starttls_offered=True,
        starttls_sent=True,
        starttls_reply=Reply(code=220, text="go"),
        handshake=HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
    ),
    faults=(EXPIRED,),
    transcript=(),
)
_ATTEMPT: Final = Attempt(
    id="a1",
    message_id="m1",
    round=1,
    hop=HOP,
    clear=False,
    rule=RULE,
    route="lab/expired",
    session_id="s1",
    verdict=Terminate(faults=(EXPIRED,)),
    outcomes=(RecipientOutcome(recipient=RECIPIENT, outcome=REFUSED),),
    started_at=AT,
    ended_at=AT,
)
_BOUNCE: Final = Bounce(
    id="b1",
    message_id="m1",
    recipient=RECIPIENT,
    reverse_path="s@sender.test",
    action=BounceAction.FAILED,
    status=StatusCode(451, "4.7.5"),
    text=TEXT,
    cause_status=StatusCode(451, "4.7.5"),
    cause_text=TEXT,
    cause="A certificate has expired.",
    remedy="Renew it.",
    result_type=ResultType.CERTIFICATE_EXPIRED,
    faults=(EXPIRED,),
    setting=TlsSetting.REQUIRED_VERIFY,
    rule=RULE,
    route="lab/expired",
    host=HOP.host,
    address="127.0.0.1:2525",
    stage=Stage.HANDSHAKE,
    attempts=1,
    session_id="s1",
    at=AT,
    will_retry_at=None,
    notified=Notified.SENDER,
)


def view(*, reason: str, at: datetime = AT, **changes: Any) -> SalesforceView:
    """What Salesforce records of a hard bounce with this reason, `at` this time."""
    made = SalesforceView(
        email_bounced_reason=reason,
        email_bounced_date=at,
        kind=BounceKind.HARD,
        contact_flagged=True,
        why=FlagReason.ANY_FAILURE,
        matching_records=MatchingRecords.ALL,
        is_bounced=True,
    )
    return replace(made, **changes)


def rule(setting: TlsSetting) -> MatchedRule:
    return replace(RULE, setting=setting)


def envelope(**changes: Any) -> Envelope:
    return replace(_ENVELOPE, **changes)


def session(*, at: datetime = AT, **changes: Any) -> Session:
    """`at` is when it began, and ended."""
    return replace(_SESSION, **{"started_at": at, "ended_at": at, **changes})


def attempt(
    *, outcome: Outcome = REFUSED, recipient: str = RECIPIENT, at: datetime = AT, **changes: Any
) -> Attempt:
    """`outcome` is this recipient's alone; `at` is when it began, and ended."""
    outcomes = (RecipientOutcome(recipient=recipient, outcome=outcome),)
    made = {"outcomes": outcomes, "started_at": at, "ended_at": at}
    return replace(_ATTEMPT, **{**made, **changes})


def bounce(*, status: StatusCode = _BOUNCE.status, text: str = TEXT, **changes: Any) -> Bounce:
    """`status` and `text` are the cause's, too, if no change says otherwise."""
    causes = {"cause_status": status, "cause_text": text}
    return replace(_BOUNCE, status=status, text=text, **{**causes, **changes})
