"""Records for the journal's tests: hand-made ones, and strategies for any of them."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from typing import Any

import record_builders as build
from hypothesis import strategies as st
from record_builders import TEXT

from relay.core.evidence import ClientOffer, HandshakeDone, TlsEvidence
from relay.core.faults import FaultKind, TlsFault
from relay.core.outcomes import Deferred, TlsRefusal
from relay.core.records import Attempt, Bounce, Envelope, MatchedRule, Notified, Session
from relay.core.replies import Reply, ReplyMode, StatusCode
from relay.core.settings import TlsMode, TlsSetting, TlsVersion
from relay.core.transcripts import Direction, Line
from relay.core.verdicts import Terminate
from relay.journal.api import Batch, NewMessage, RecipientState

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
RULE = MatchedRule(
    setting=TlsSetting.REQUIRED_VERIFY,
    pattern="bank.test",
    reason="the rule for bank.test names exactly this domain",
    file="policies/required-verify.yaml",
    line=7,
)
EXPIRED = TlsFault(
    kind=FaultKind.CERTIFICATE_EXPIRED, detail="not valid after 2026-02-01 00:00:00 UTC"
)


def an_envelope(number: int = 1, **changes: Any) -> Envelope:
    values: dict[str, Any] = {
        "id": f"m{number:016d}",
        "reverse_path": "app@crm.test",
        "recipients": ("u@bank.test",),
        "received_at": NOON + timedelta(seconds=number),
        "size": 18,
        "reply_mode": ReplyMode.INLINE,
        "policy": "policies/required-verify.yaml",
        "message_id_header": f"<{number}@crm.test>",
        "subject": f"Statement {number}",
    }
    return build.envelope(**{**values, **changes})


def a_message(
    number: int = 1,
    *,
    state: RecipientState = RecipientState.INLINE,
    next_at: datetime | None = None,
    content: bytes = b"Subject: x\r\n\r\nhi\r\n",
    **changes: Any,
) -> NewMessage:
    return NewMessage(
        envelope=an_envelope(number, **changes), content=content, state=state, next_at=next_at
    )


def a_session(number: int = 1, **changes: Any) -> Session:
    values: dict[str, Any] = {
        "id": f"s{number:016d}",
        "started_at": NOON,
        "ended_at": NOON + timedelta(milliseconds=30),
        "evidence": TlsEvidence(
            mode=TlsMode.STARTTLS,
            observed_at=NOON,
            offer=ClientOffer(
                minimum_tls=TlsVersion.TLS1_2, verifying=True, server_name="mx.bank.test"
            ),
            starttls_offered=True,
            starttls_sent=True,
            starttls_reply=Reply(code=220, text="2.0.0 Ready"),
            handshake=HandshakeDone(version="TLSv1.3", cipher="TLS_AES_256_GCM_SHA384"),
        ),
        "faults": (EXPIRED,),
        "transcript": (
            Line(direction=Direction.RECEIVED, encrypted=False, at=NOON, text="220 mx.bank.test"),
            Line(direction=Direction.SENT, encrypted=False, at=NOON, text="EHLO relay"),
            Line(direction=Direction.NOTE, encrypted=False, at=NOON, text="TLSv1.3"),
            Line(direction=Direction.SENT, encrypted=True, at=NOON, text="QUIT"),
            Line(direction=Direction.RECEIVED, encrypted=True, at=NOON, text="221 bye"),
        ),
    }
    return build.session(**{**values, **changes})


def an_attempt(number: int = 1, *, message: int = 1, **changes: Any) -> Attempt:
    values: dict[str, Any] = {
        "id": f"a{number:016d}",
        "message_id": f"m{message:016d}",
        "rule": RULE,
        "route": "the route for bank.test",
        "session_id": f"s{number:016d}",
        "verdict": Terminate(faults=(EXPIRED,)),
        "outcome": Deferred(failure=TlsRefusal.by(RULE.setting, (EXPIRED,), peer_reply=None)),
        "recipient": "u@bank.test",
        "started_at": NOON,
        "ended_at": NOON + timedelta(milliseconds=31),
    }
    return build.attempt(**{**values, **changes})


def a_bounce(number: int = 1, *, message: int = 1, **changes: Any) -> Bounce:
    values: dict[str, Any] = {
        "id": f"b{number:016d}",
        "message_id": f"m{message:016d}",
        "recipient": "u@bank.test",
        "reverse_path": "app@crm.test",
        "cause_status": StatusCode(451, "4.7.5"),
        "cause_text": TEXT,
        "cause": "The host's certificate has expired. Required Verify demands a trustworthy one.",
        "remedy": "The host's administrator must renew the certificate.",
        "faults": (EXPIRED,),
        "rule": RULE,
        "route": "the route for bank.test",
        "session_id": "s0000000000000001",
        "at": NOON,
        "notified": Notified.CLIENT,
    }
    return build.bounce(**{**values, **changes})


def a_story(number: int = 1) -> Batch:
    """One message that a Required Verify policy refused to send to a host."""
    return Batch(
        messages=(a_message(number, state=RecipientState.FAILED),),
        sessions=(a_session(number),),
        attempts=(an_attempt(number, message=number),),
        bounces=(a_bounce(number, message=number, session_id=f"s{number:016d}"),),
    )


def _dataclass(kind: Any) -> st.SearchStrategy[Any]:
    if kind is StatusCode:
        return st.builds(
            lambda code, minor: StatusCode(code, f"{code // 100}.{minor}.0"),
            st.sampled_from((250, 451, 554)),
            st.integers(0, 999),
        )
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: any_of(hints[field.name]) for field in fields(kind)})


_LEAVES: dict[object, Callable[[], st.SearchStrategy[Any]]] = {
    str: lambda: st.text(st.characters(), max_size=20),
    int: lambda: st.integers(-(2**31), 2**62),
    bool: st.booleans,
    types.NoneType: st.none,
    datetime: lambda: st.datetimes(
        min_value=datetime(1970, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        max_value=datetime(2200, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from((UTC, timezone(timedelta(hours=5, minutes=30)))),
    ),
}


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Return a strategy for any value that a record's field of this type can hold."""
    if kind in _LEAVES:
        return _LEAVES[kind]()
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case typing.Literal:
            return st.sampled_from(arguments)
        case types.UnionType | typing.Union:
            return st.one_of([any_of(argument) for argument in arguments])
        case origin if origin is tuple:
            return st.lists(any_of(arguments[0]), max_size=2).map(tuple)
        case _ if isinstance(kind, type) and issubclass(kind, Enum):
            return st.sampled_from(kind)
        case _ if is_dataclass(kind):
            return _dataclass(kind)
        case _:
            raise TypeError(f"no strategy for {kind}")
