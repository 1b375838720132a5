"""What is read from bounces of every shape: a table typed by hand."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import dsn_samples as samples
import pytest
import record_builders as build
from hypothesis import given
from hypothesis import strategies as st

from relay.core.records import Reading
from relay.core.replies import StatusCode
from relay.formats.dsn import DsnAction, render_dsn
from relay.formats.dsn import ReportedRecipient as Written
from relay.formats.dsn_reading import MAX_TEXT, ReportedRecipient, read_report

AT = datetime(2026, 5, 6, tzinfo=UTC)
BOB = ("bob@partner.test",)


def read(
    addresses: tuple[str, ...], reading: Reading, code: str, text: str, host: str | None = None
) -> ReportedRecipient:
    return ReportedRecipient(
        addresses=addresses, reading=reading, status=StatusCode.parse(code), text=text, host=host
    )


@pytest.mark.parametrize(
    ("sample", "expected"),
    [
        (
            "POSTFIX",
            [
                read(
                    ("Bob@Partner.test", "bob@partner.test"),
                    Reading.FAILED,
                    "550 5.1.1",
                    "<bob@partner.test>: Recipient address rejected: "
                    "User unknown in local recipient table",
                    "store.partner.test",
                )
            ],
        ),
        (
            "POSTFIX_EXPIRED",
            [
                read(
                    BOB,
                    Reading.FAILED,
                    "450 4.4.1",
                    "connect to store.partner.test[192.0.2.1]:25: Connection timed out",
                )
            ],
        ),
        ("POSTFIX_DELAYED", [read(BOB, Reading.DELAYED, "452 4.2.2", "Mailbox full")]),
        ("SUCCESS", [read(BOB, Reading.DELIVERED, "250 2.0.0", "")]),
        (
            "EXCHANGE",
            [
                read(
                    BOB,
                    Reading.FAILED,
                    "550 5.1.10",
                    "RESOLVER.ADR.RecipientNotFound; not found by SMTP lookup",
                )
            ],
        ),
        (
            "TWO",
            [
                read(BOB, Reading.FAILED, "552 5.2.2", "Over quota"),
                read(("jörg@partner.test",), Reading.DELAYED, "450 4.0.0", ""),
            ],
        ),
        (
            "EXIM",
            [read(BOB, Reading.FAILED, "550 5.1.1", "<bob@partner.test>: no such user here")],
        ),
        ("QMAIL", [read(BOB, Reading.FAILED, "550 5.1.1", "")]),
        ("OUT_OF_OFFICE", []),
        ("BROKEN", []),
    ],
)
def test_a_bounce_of_each_kind(sample: str, expected: list[ReportedRecipient]) -> None:
    assert list(read_report(getattr(samples, sample))) == expected


def test_a_code_in_the_returned_message_is_not_the_reports() -> None:
    (found,) = read_report(samples.EXIM.replace(b"550 5.1.1 <", b"<"))
    assert (str(found.status), found.text) == ("550 5.0.0", "the notification names no code")


@pytest.mark.parametrize(
    ("status", "diagnostic", "code"),
    [
        ("5.1.1", "smtp; 550 5.2.1 disabled", "550 5.2.1"),
        ("5.1.1", "smtp; 550 no such user", "550 5.1.1"),
        ("4.4.7", "smtp; 550 5.1.1 no such user", "550 5.1.1"),
        ("5.7.1 (refused)", "x-unix; 77", "550 5.7.1"),
        ("nonsense", "smtp; nonsense", "550 5.0.0"),
        ("5.001.01", "smtp; nonsense", "550 5.1.1"),
        ("", "", "550 5.0.0"),
    ],
)
def test_the_host_s_reply_outweighs_the_status(status: str, diagnostic: str, code: str) -> None:
    block = f"Final-Recipient: rfc822; bob@partner.test\nAction: Failed\nStatus: {status}\n"
    block += f"Diagnostic-Code: {diagnostic}\n" if diagnostic else ""
    (found,) = read_report(samples.report(f"Reporting-MTA: dns; x\n\n{block}"))
    assert str(found.status) == code


def test_our_own_notifications_are_read_back() -> None:
    envelope = build.envelope(reverse_path="jane@example.com", recipients=BOB)
    written = Written(
        recipient="bob@partner.test",
        original="rfc822;Bob+2Bx@partner.test",
        action=DsnAction.FAILED,
        status=StatusCode(554, "5.4.7"),
        diagnostic="451 4.7.5 [internal] TLS negotiation failed",
        host="mx.partner.test",
        at=AT,
        will_retry_until=None,
        words=("554 5.4.7 expired",),
    )
    dsn = render_dsn(
        envelope=envelope,
        recipients=[written],
        content=b"Subject: x\r\n\r\nbody\r\n",
        reporting_mta="relay.test",
        message_id="d1",
        at=AT,
    )
    assert read_report(dsn) == (
        read(
            ("Bob+x@partner.test", "bob@partner.test"),
            Reading.FAILED,
            "451 4.7.5",
            "[internal] TLS negotiation failed",
            "mx.partner.test",
        ),
    )


@pytest.mark.parametrize("sender", [b"MAILER-DAEMON", b"Mail System", b"<>", b""])
def test_a_sender_without_a_domain_does_no_harm(sender: bytes) -> None:
    own = b"Mail Delivery System <Mailer-Daemon@partner.test>"
    assert read_report(samples.EXIM.replace(own, sender)) == read_report(samples.EXIM)


def test_a_message_of_a_thousand_parts_is_nobodys_bounce() -> None:
    parts = b"--b\r\n\r\nx\r\n" * 1000
    head = b"From: a@b.test\r\nX-Failed-Recipients: bob@partner.test\r\n"
    assert read_report(head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts) == ()


def test_a_report_before_a_big_message_is_read() -> None:
    big = samples.POSTFIX.replace(b"Subject: hello", b"X-Big: " + b"x\r\n y" * 200_000)
    assert read_report(big) == read_report(samples.POSTFIX)


@given(st.binary(max_size=300))
def test_it_never_raises(noise: bytes) -> None:
    half = len(samples.POSTFIX) // 2
    for content in (noise, samples.POSTFIX[:half] + noise, samples.EXIM[:half] + noise):
        for found in read_report(content):
            assert found.text.isprintable()


QMAIL = b"Hi. This is the qmail-send program at mx.partner.test.\n\n<bob@partner.test>:\n"
NETSCAPE = b"This Message was undeliverable due to the following reason:\n\n"


@pytest.mark.parametrize(
    ("begins", "line"),
    [
        (QMAIL, b"-" * 180_000),
        (NETSCAPE, b"<" * 180_000),
        (NETSCAPE, b"<" * 990 + b"\n"),
        (b"Sorry, unable to deliver your message to the following recipients.\n", b" " * 180_000),
        (b"Failed addresses follow:\n", b" " * 990 + b"\n"),
        (b"  did not reach the following recipient\n", b"a@a" + b"a" * 180_000),
    ],
)
@pytest.mark.parametrize("encoded", [False, True])
def test_words_made_to_be_slow_to_read_cost_little(
    begins: bytes, line: bytes, encoded: bool
) -> None:
    """With patterns over the whole of it these would take from minutes to centuries."""
    text = begins + (line * (180_000 // len(line))) + b"\n"
    head = b"From: MAILER-DAEMON@mx.partner.test\nSubject: failure notice\n"
    if encoded:
        head += b"Content-Transfer-Encoding: base64\n"
        text = base64.encodebytes(text)
    found = read_report(head + b"\n" + text)
    assert [report.addresses for report in found] == ([BOB] if begins is QMAIL else [])


def test_an_encoded_report_is_read_and_what_else_it_carries_is_not() -> None:
    report = base64.encodebytes(QMAIL + b"550 5.1.1 no such user\n")
    disguised = base64.encodebytes(QMAIL.replace(b"bob", b"eve"))
    content = (
        b"From: MAILER-DAEMON@mx.partner.test\n"
        b'Content-Type: multipart/mixed; boundary="b"\n\n'
        b"--b\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + report + b"\n"
        b"--b\nContent-Type: image/png\nContent-Transfer-Encoding: base64\n\n" + disguised + b"\n"
        b"--b--\n"
    )
    assert read_report(content) == (read(BOB, Reading.FAILED, "550 5.1.1", "no such user"),)


def test_the_name_of_the_host_is_printable_and_not_endless() -> None:
    content = (
        b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\n\n"
        b"--b\nContent-Type: message/delivery-status\n\n"
        b"Reporting-MTA: dns; mx.partner.test\n\n"
        b"Final-Recipient: rfc822; bob@partner.test\nAction: failed\nStatus: 5.1.1\n"
        b"Remote-MTA: dns; \x1b[2J" + b"x" * 2000 + b"\n\n--b--\n"
    )
    (report,) = read_report(content)
    assert report.host == "?[2J" + "x" * (MAX_TEXT - 4)
