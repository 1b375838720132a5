"""The one JSON form of a record, pinned."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import record_builders as build
from record_builders import AT, EXPIRED, OK, TEXT

from relay.core.addresses import DomainPattern, parse_address
from relay.core.advisories import Advisory, AdvisoryKind
from relay.core.dsn import DsnRequest, RecipientRequest
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.jsonform import to_json, to_text
from relay.core.outcomes import Deferred, Delivered, Outcome, TlsRefusal
from relay.core.records import BodyType, RecipientOutcome
from relay.core.replies import Reply, StatusCode
from relay.core.routing import Hop
from relay.core.settings import Protection, TlsMode, TlsSetting
from relay.core.transcripts import Direction, Line
from relay.core.verdicts import Deliver

HOP = Hop(host="mx.expired.lab.test", address="127.0.0.1", port=2525)
BOUNCE = build.bounce(
    recipient="a@expired.lab.test",
    status=StatusCode(554, "5.4.7"),
    text="[internal] exceeded max time without delivery",
    cause_status=StatusCode(451, "4.7.5"),
    cause_text=TEXT,
    host=HOP.host,
    attempts=9,
    salesforce=build.view(reason="554 5.4.7 [internal] exceeded max time without delivery"),
)


def test_bounce() -> None:
    assert to_json(BOUNCE) == {
        "id": "b1",
        "message_id": "m1",
        "recipient": "a@expired.lab.test",
        "reverse_path": "s@sender.test",
        "action": "failed",
        "status": {"code": 554, "enhanced": "5.4.7"},
        "text": "[internal] exceeded max time without delivery",
        "cause_status": {"code": 451, "enhanced": "4.7.5"},
        "cause_text": "[internal] remote node SSL certificate not signed by a valid CA",
        "cause": "A certificate has expired.",
        "remedy": "Renew it.",
        "result_type": "certificate-expired",
        "faults": [{"kind": "certificate-expired", "detail": "expired 2026-03-03"}],
        "setting": "required-verify",
        "rule": {
            "setting": "required-verify",
            "pattern": "*",
            "reason": "because",
            "file": "p.yaml",
            "line": 3,
        },
        "route": "lab/expired",
        "host": "mx.expired.lab.test",
        "address": "127.0.0.1:2525",
        "stage": "handshaking TLS",
        "attempts": 9,
        "session_id": "s1",
        "at": "2026-03-04T05:06:07+00:00",
        "will_retry_at": None,
        "notified": "sender",
        "returned_in": None,
        "salesforce": {
            "email_bounced_reason": "554 5.4.7 [internal] exceeded max time without delivery",
            "email_bounced_date": "2026-03-04T05:06:07+00:00",
            "kind": "hard",
            "contact_flagged": True,
            "why": "any-failure",
            "matching_records": "all",
            "is_bounced": True,
        },
    }


def test_session_and_attempt() -> None:
    session = build.session(
        hop=HOP,
        evidence=TlsEvidence(
            mode=TlsMode.STARTTLS,
            observed_at=AT,
            starttls_offered=True,
            starttls_sent=True,
            starttls_reply=Reply(code=220, text="go"),
            handshake=HandshakeDone(version="TLSv1.3", cipher="X"),
            chain=("PEM",),
            starttls_offered_under_tls=False,
        ),
        transcript=(Line(direction=Direction.SENT, encrypted=True, at=AT, text="QUIT"),),
        advisories=(
            Advisory(
                kind=AdvisoryKind.CERTIFICATE_EXPIRES_SOON, detail="ends 2026-03-06, in 2 days"
            ),
        ),
    )
    assert to_json(session) == {
        "id": "s1",
        "direction": "outbound",
        "peer": "127.0.0.1:2525",
        "hop": {"host": HOP.host, "address": "127.0.0.1", "port": 2525, "mode": "starttls"},
        "started_at": "2026-03-04T05:06:07+00:00",
        "ended_at": "2026-03-04T05:06:07+00:00",
        "evidence": {
            "mode": "starttls",
            "observed_at": "2026-03-04T05:06:07+00:00",
            "offer": None,
            "starttls_offered": True,
            "starttls_sent": True,
            "starttls_reply": {"code": 220, "text": "go"},
            "handshake": {"kind": "done", "version": "TLSv1.3", "cipher": "X"},
            "chain": ["PEM"],
            "plaintext_after_go_ahead": 0,
            "starttls_offered_under_tls": False,
        },
        "faults": [{"kind": "certificate-expired", "detail": "expired 2026-03-03"}],
        "transcript": [
            {
                "direction": "sent",
                "encrypted": True,
                "at": "2026-03-04T05:06:07+00:00",
                "text": "QUIT",
            }
        ],
        "advisories": [
            {"kind": "certificate-expires-soon", "detail": "ends 2026-03-06, in 2 days"}
        ],
        "continues": None,
    }
    data = to_json(build.attempt(recipient="a@x.test"))
    assert isinstance(data, dict)
    assert data["verdict"] == {"kind": "terminate", "faults": to_json((EXPIRED,))}
    assert data["outcomes"] == [
        {
            "recipient": "a@x.test",
            "outcome": {
                "kind": "deferred",
                "failure": {
                    "kind": "tls",
                    "setting": "required-verify",
                    "faults": to_json((EXPIRED,)),
                    "stage": "handshaking TLS",
                    "peer_reply": None,
                },
            },
        }
    ]
    json.dumps(data)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (timedelta(seconds=90), 90.0),
        (parse_address("a@b.test"), "a@b.test"),
        (DomainPattern.parse("*.b.test"), "*.b.test"),
        (StatusCode(451, "4.7.5"), {"code": 451, "enhanced": "4.7.5"}),
        (
            b"abc",
            {
                "size": 3,
                "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            },
        ),
    ],
)
def test_values(value: object, expected: object) -> None:
    assert to_json(value) == expected


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"at": AT.replace(microsecond=120)},
        {"text": 'a "quote", a \\ and a \t, \x00 and \x7f'},
        {"text": "Grüße \u2028 日本 \U0001f600, twice: Grüße"},
        {"cause_text": "\udcff is what an octet became, é what was none"},
        {"attempts": 2**80},
    ],
)
def test_a_records_text_is_one_line_of_ascii_with_the_same_data(changes: dict[str, object]) -> None:
    bounce = replace(BOUNCE, **changes)  # type: ignore[arg-type]
    text = to_text(bounce)
    assert text.isascii()
    assert text.isprintable() or "\x7f" in text
    assert json.loads(text) == to_json(bounce)


def test_sessions_of_one_connection_have_its_evidence_each() -> None:
    evidence = TlsEvidence(mode=TlsMode.STARTTLS, observed_at=AT, chain=("PEM é",))
    for number in range(300):
        # One in three has the evidence of before, the others have some of their own.
        seen = (
            evidence
            if number % 3
            else replace(evidence, chain=(f"{number}", "\udcff"[number % 2 :]))
        )
        session = build.session(
            id=f"s{number}",
            evidence=seen,
            transcript=(Line(direction=Direction.NOTE, encrypted=False, at=AT, text="é"),) * 2,
        )
        assert json.loads(to_text(session)) == to_json(session)


ATTEMPT = build.attempt(verdict=Deliver(protection=Protection.VERIFIED), hosts=(HOP,))
ENVELOPE = build.envelope(body=BodyType.EIGHT_BIT, smtputf8=True)


@pytest.mark.parametrize(
    "outcomes",
    [
        (replace(OK, protection=Protection.VERIFIED),),
        (
            Delivered(reply=Reply(code=250, text="é\udcff"), protection=Protection.CLEAR, dsn=True),
            Deferred(
                failure=TlsRefusal.by(TlsSetting.REQUIRED_VERIFY, (EXPIRED,), peer_reply=None)
            ),
        ),
        (),
    ],
)
def test_an_attempts_text_has_the_same_data(outcomes: tuple[Outcome, ...]) -> None:
    entries = tuple(RecipientOutcome(recipient=f"é{o.kind}@bank.test", outcome=o) for o in outcomes)
    for hop in (HOP, replace(HOP, port=25), None, HOP):
        attempt = replace(ATTEMPT, outcomes=entries, hop=hop)
        assert json.loads(to_text(attempt)) == to_json(attempt)


@pytest.mark.parametrize(
    "asked",
    [
        DsnRequest(),
        DsnRequest(envelope_id="x"),
        DsnRequest(recipients=(RecipientRequest(recipient="a@bank.test", notify=()),)),
    ],
)
def test_an_envelopes_text_has_the_same_data(asked: DsnRequest) -> None:
    envelope = replace(ENVELOPE, dsn=asked)
    assert json.loads(to_text(envelope)) == to_json(envelope)


def test_what_has_no_form_is_refused() -> None:
    with pytest.raises(TypeError, match="object has no JSON form"):
        to_json(object())
