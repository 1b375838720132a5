"""Delivery status notifications, read back by parsers that nobody here wrote."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from email.policy import default

import pytest
import record_builders as build
from flufl.bounce import all_failures
from hypothesis import given
from hypothesis import strategies as st

from relay.core.dsn import DsnRequest, RecipientRequest, ReturnContent
from relay.core.records import Bounce, BounceAction, Envelope
from relay.core.replies import StatusCode
from relay.formats.dsn import (
    MAX_RETURNED_CONTENT,
    MAX_RETURNED_HEADERS,
    DsnAction,
    ReportedRecipient,
    original_headers,
    render_dsn,
    reported_bounce,
)
from relay.formats.heads import read_head

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
ENVELOPE = build.envelope(
    reverse_path="sender@example.test",
    recipients=("a@expired.lab.test", "b@good.lab.test"),
    subject="hello",
)
BOUNCE = build.bounce(
    recipient="a@expired.lab.test",
    reverse_path="sender@example.test",
    status=StatusCode(554, "5.4.7"),
    text="[internal] exceeded max time without delivery",
    cause_status=StatusCode(451, "4.7.5"),
    cause_text=build.TEXT,
    cause="A certificate of the host's chain has expired.",
    remedy="The host's administrator must renew it.",
    host="mx.expired.lab.test",
    at=AT,
)
HEADERS = b"From: x@example.test\r\nSubject: hello\r\n"


def dsn(
    *bounces: Bounce,
    envelope: Envelope = ENVELOPE,
    headers: bytes = HEADERS,
    body: bytes = b"",
    more: tuple[ReportedRecipient, ...] = (),
) -> bytes:
    reported = (
        reported_bounce(bounce, original=envelope.dsn.of(bounce.recipient).original)
        for bounce in bounces
    )
    return render_dsn(
        envelope=envelope,
        recipients=(*reported, *more),
        content=headers + b"\r\n" + body,
        reporting_mta="relay.lab.test",
        message_id="n1",
        at=AT,
    )


def status_blocks(content: bytes) -> list[Message]:
    part = message_from_bytes(content).get_payload(1)
    assert isinstance(part, Message)
    assert part.get_content_type() == "message/delivery-status"
    blocks = part.get_payload()
    assert isinstance(blocks, list)
    return [block for block in blocks if isinstance(block, Message)]


def test_fields_of_rfc_3464() -> None:
    about, recipient = status_blocks(dsn(BOUNCE))
    assert dict(about.items()) == {
        "Reporting-MTA": "dns; relay.lab.test",
        "Arrival-Date": "Wed, 04 Mar 2026 05:06:07 +0000",
    }
    assert dict(recipient.items()) == {
        "Final-Recipient": "rfc822; a@expired.lab.test",
        "Action": "failed",
        "Status": "5.4.7",
        "Remote-MTA": "dns; mx.expired.lab.test",
        "Diagnostic-Code": "smtp; 451 4.7.5 [internal] remote node SSL certificate not signed by"
        " a valid CA",
        "Last-Attempt-Date": "Wed, 04 Mar 2026 05:06:07 +0000",
    }


def test_shape_of_the_report() -> None:
    report = message_from_bytes(dsn(BOUNCE), policy=default)
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report["Auto-Submitted"] == "auto-replied"
    assert report["To"] == "sender@example.test"
    assert [part.get_content_type() for part in report.iter_parts()] == [
        "text/plain",
        "message/delivery-status",
        "text/rfc822-headers",
    ]
    text = next(report.iter_parts()).get_content()
    for words in ("a@expired.lab.test", "554 5.4.7", "451 4.7.5", "Required Verify", "renew it"):
        assert words in text


def test_a_bounce_parser_finds_every_failed_recipient() -> None:
    content = dsn(BOUNCE, replace(BOUNCE, recipient="c@expired.lab.test"))
    temporary, permanent = all_failures(message_from_bytes(content))
    assert permanent == {b"a@expired.lab.test", b"c@expired.lab.test"}
    assert temporary == frozenset()


def test_a_bounce_parser_finds_a_delay() -> None:
    delayed = replace(BOUNCE, action=BounceAction.DELAYED, will_retry_at=AT)
    content = dsn(delayed)
    assert all_failures(message_from_bytes(content))[0] == {b"a@expired.lab.test"}
    assert status_blocks(content)[1]["Will-Retry-Until"] == "Wed, 04 Mar 2026 05:06:07 +0000"
    assert message_from_bytes(content)["Subject"].startswith("Delayed")


hostile = st.text(max_size=200) | st.sampled_from(
    ["a\r\nStatus: 2.0.0", "a\r\n\r\nAction: delivered", "\x1b[31m", "\u202e", "x" * 2000, "\udcff"]
)


@given(text=hostile, cause=hostile)
def test_a_peers_words_stay_inside_their_field(text: str, cause: str) -> None:
    content = dsn(replace(BOUNCE, cause_text=text, text=text, cause=cause))
    about, recipient = status_blocks(content)
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.4.7")
    assert set(about.keys()) == {"Reporting-MTA", "Arrival-Date"}
    assert len(recipient.keys()) == 6
    assert all(len(line) <= 998 for line in content.split(b"\r\n"))
    assert content.endswith(b"\r\n")
    assert not set(content.replace(b"\r\n", b"")) & {*range(9), *range(10, 32), 127}


@given(headers=st.binary(max_size=300).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b"")))
def test_whatever_the_original_headers_hold_the_report_is_7_bit_lines(headers: bytes) -> None:
    content = dsn(BOUNCE, headers=b"Subject: " + headers + b"\r\n")
    assert content.isascii()
    assert b"\n" not in content.replace(b"\r\n", b"")
    part = message_from_bytes(content).get_payload(2)
    assert isinstance(part, Message)
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.startswith(b"Subject: ")


def test_an_address_outside_ascii_has_its_own_type() -> None:
    recipient = status_blocks(dsn(replace(BOUNCE, recipient="jürgen@x.test")))[1]
    assert recipient["Final-Recipient"] == r"utf-8; j\x{FC}rgen@x.test"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody\r\n", b"A: 1\r\nB: 2\r\n"),
        (b"A: 1\r\n", b"A: 1\r\n"),
        (b"", b""),
    ],
)
def test_original_headers(content: bytes, expected: bytes) -> None:
    assert original_headers(content) == expected


def test_original_headers_are_bounded_and_whole_lines() -> None:
    content = b"".join(b"X-%d: y\r\n" % n for n in range(10_000)) + b"\r\nbody"
    head = original_headers(content)
    assert len(head) <= MAX_RETURNED_HEADERS
    assert head.endswith(b"y\r\n")
    assert content.startswith(head)


@pytest.mark.parametrize(
    ("content", "message_id", "subject"),
    [
        (b"Message-ID: <a@b>\r\nSubject: hi\r\n\r\nx", "<a@b>", "hi"),
        (b"Subject: =?utf-8?q?gr=C3=BC=C3=9Fe?=\r\n\r\n", None, "grüße"),
        (b"Subject: two\r\n lines\r\n\r\n", None, "two lines"),
        (b"Subject: =?nonsense?q?x?=\r\n\r\n", None, "=?nonsense?q?x?="),
        (b"\r\nSubject: in the body\r\n", None, None),
        (b"Subject: \x1b[31mred\r\n\r\n", None, "\ufffd[31mred"),
    ],
)
def test_head(content: bytes, message_id: str | None, subject: str | None) -> None:
    head = read_head(content)
    assert (head.message_id, head.subject) == (message_id, subject)


@given(content=st.binary(max_size=500))
def test_a_head_is_read_from_anything(content: bytes) -> None:
    head = read_head(content)
    assert head.subject is None or head.subject.isprintable() or "\ufffd" in head.subject


def test_a_sender_outside_ascii_is_addressed_as_it_is() -> None:
    content = dsn(BOUNCE, envelope=replace(ENVELOPE, reverse_path="jürgen@example.test"))
    assert "To: jürgen@example.test\r\n".encode() in content


FULL = replace(ENVELOPE, dsn=DsnRequest(ret=ReturnContent.FULL))


def with_crlf(raw: bytes) -> bytes:
    return raw.replace(b"\r", b"").replace(b"\n", b"\r\n")


@given(body=st.binary(max_size=400).map(with_crlf))
def test_ret_full_returns_the_message_octet_for_octet(body: bytes) -> None:
    content = dsn(BOUNCE, envelope=FULL, body=body + b"\r\n")
    assert HEADERS + b"\r\n" + body + b"\r\n" in content
    report = message_from_bytes(content)
    part = report.get_payload(2)
    assert isinstance(part, Message)
    assert part.get_content_type() == "message/rfc822"
    assert part["Content-Transfer-Encoding"] == ("7bit" if body.isascii() else "8bit")
    (returned,) = part.get_payload()
    assert returned["Subject"] == "hello"


def test_ret_full_of_a_delay_returns_headers_alone() -> None:
    content = dsn(replace(BOUNCE, action=BounceAction.DELAYED), envelope=FULL, body=b"secret\r\n")
    assert b"secret" not in content


def test_ret_full_is_bounded() -> None:
    content = dsn(BOUNCE, envelope=FULL, body=b"x" * MAX_RETURNED_CONTENT)
    assert len(content) < 10_000


@pytest.mark.parametrize("ret", [None, ReturnContent.HEADERS])
def test_without_ret_full_the_body_stays_here(ret: ReturnContent | None) -> None:
    envelope = replace(ENVELOPE, dsn=DsnRequest(ret=ret))
    content = dsn(BOUNCE, envelope=envelope, body=b"secret\r\n")
    assert b"secret" not in content
    assert b"Subject: hello" in content


def test_what_the_sender_named_comes_back_decoded() -> None:
    asked = RecipientRequest(recipient=BOUNCE.recipient, original="rfc822;Bob+2B1@example.com")
    request = DsnRequest(envelope_id="QQ+2B+3D1", recipients=(asked,))
    about, recipient = status_blocks(dsn(BOUNCE, envelope=replace(ENVELOPE, dsn=request)))
    assert about["Original-Envelope-Id"] == "QQ+=1"
    assert recipient["Original-Recipient"] == "rfc822; Bob+1@example.com"


def test_what_the_sender_named_can_not_break_out_of_its_field() -> None:
    asked = RecipientRequest(
        recipient=BOUNCE.recipient, original="rfc822;a+0D+0AAction:+20delivered"
    )
    request = DsnRequest(envelope_id="a+0D+0AStatus:+202.0.0", recipients=(asked,))
    about, recipient = status_blocks(dsn(BOUNCE, envelope=replace(ENVELOPE, dsn=request)))
    assert recipient["Action"] == "failed"
    assert "Status" not in about


def test_a_relayed_recipient() -> None:
    relayed = ReportedRecipient(
        recipient="b@good.lab.test",
        original=None,
        action=DsnAction.RELAYED,
        status=StatusCode(250, "2.0.0"),
        diagnostic="250 2.0.0 ok",
        host="mx.good.lab.test",
        at=AT,
        will_retry_until=None,
        words=("host: mx.good.lab.test",),
    )
    content = dsn(more=(relayed,))
    assert message_from_bytes(content)["Subject"] == "Successful Mail Delivery Report"
    assert status_blocks(content)[1]["Action"] == "relayed"
    assert all_failures(message_from_bytes(content)) == (frozenset(), frozenset())
    mixed = dsn(BOUNCE, more=(relayed,))
    assert message_from_bytes(mixed)["Subject"] == "Undelivered Mail Returned to Sender"
    assert [block["Action"] for block in status_blocks(mixed)[1:]] == ["failed", "relayed"]
