"""The e-mail log's rows, column by column, their order, and reading them back."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
import record_builders as build

from relay.core.evidence import ClientOffer, HandshakeDone, TlsEvidence
from relay.core.outcomes import Deferred, Delivered, LocalProblem, LocalRefusal
from relay.core.records import (
    Attempt,
    Bounce,
    BounceAction,
    Envelope,
    Notified,
    RecipientOutcome,
    Session,
    SessionDirection,
)
from relay.core.replies import Reply, StatusCode
from relay.core.settings import Protection, TlsMode, TlsSetting, TlsVersion
from relay.formats.email_log import Column, LogRow, MailEvent, gmt, rows, write_csv, write_header
from relay.formats.email_log_order import in_order
from relay.formats.email_log_reader import EPOCH, LogProblem, read_email_log

AT = datetime(2026, 3, 6, 13, 37, 20, tzinfo=UTC)
TEXT = "[internal] remote node SSL certificate not signed by a valid CA"


@dataclass(frozen=True)
class Way:
    envelope: Envelope
    attempts: tuple[Attempt, ...] = ()
    sessions: tuple[Session, ...] = ()
    bounces: tuple[Bounce, ...] = ()


def an_envelope(*recipients: str, message_id: str = "m1", at: datetime = AT) -> Envelope:
    return build.envelope(
        id=message_id,
        reverse_path="app@crm.test",
        recipients=recipients or ("u@bank.test",),
        received_at=at,
        size=11856,
        session_id="in",
        message_id_header="<1@crm.test>",
    )


def a_session(name: str, handshake: HandshakeDone | None = None, **changes: Any) -> Session:
    evidence = None
    if handshake is not None:
        offer = ClientOffer(minimum_tls=TlsVersion.TLS1_2, verifying=True, server_name="mx.test")
        evidence = TlsEvidence(
            mode=TlsMode.STARTTLS, observed_at=AT, offer=offer, handshake=handshake
        )
    return build.session(id=name, at=AT, evidence=evidence, **changes)


INBOUND = a_session("in", direction=SessionDirection.INBOUND, peer="[::1]:40123")


def delivered(
    *,
    setting: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    protection: Protection = Protection.VERIFIED,
    session_id: str | None = "out",
    round_: int = 3,
) -> Attempt:
    outcome = Delivered(reply=Reply(code=250, text="2.0.0 Ok:\nqueued"), protection=protection)
    return build.attempt(
        round=round_,
        rule=build.rule(setting),
        session_id=session_id,
        verdict=None,
        outcome=outcome,
        recipient="u@bank.test",
        started_at=AT,
        ended_at=AT + timedelta(minutes=15, microseconds=1),
    )


def a_bounce(**changes: Any) -> Bounce:
    values: dict[str, Any] = {
        "recipient": "u@bank.test",
        "reverse_path": "app@crm.test",
        "action": BounceAction.DELAYED,
        "cause_status": StatusCode(451, "4.7.5"),
        "cause_text": TEXT,
        "attempts": 2,
        "session_id": "out",
        "at": AT + timedelta(minutes=5),
        **changes,
    }
    return build.bounce(**values)


def last(way: Way) -> dict[str, str]:
    names = [column.value for column in Column]
    return dict(zip(names, rows(way)[-1].cells(), strict=True))


def test_a_delivery_column_by_column() -> None:
    done = HandshakeDone(version="TLSv1.2", cipher="AES256-GCM-SHA384")
    sessions = (INBOUND, a_session("out", done))
    received, sent = rows(Way(an_envelope(), (delivered(),), sessions))
    assert received.cells() == (
        "3/06/2026 13:37", "m1", "R", "u@bank.test", "app@crm.test", "::1", "11856", "",
        "<1@crm.test>", "0", "0", "", "", "", "", "", "",
    )  # fmt: skip
    assert sent.cells() == (
        "3/06/2026 13:52", "m1", "D", "u@bank.test", "app@crm.test", "::1", "11856", "",
        "<1@crm.test>", "2", "900", "", "127.0.0.1", "2525", "250 2.0.0 Ok: queued",
        "TLSv1.2:AES256-GCM-SHA384", "Verified",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("setting", "protection", "session", "cipher", "verified"),
    [
        ("required", Protection.ENCRYPTED, HandshakeDone(version="TLSv1.3", cipher="X"),
         "TLSv1.3:X", ""),
        ("preferred", Protection.CLEAR, None, ":", ""),
        ("preferred-verify", Protection.CLEAR, None, ":", "Unverified"),
        ("preferred-verify", Protection.VERIFIED, HandshakeDone(version="TLSv1.3", cipher="X"),
         "TLSv1.3:X", "Verified"),
    ],
)  # fmt: skip
def test_the_tls_columns_of_a_delivery(
    setting: str,
    protection: Protection,
    session: HandshakeDone | None,
    cipher: str,
    verified: str,
) -> None:
    attempt = delivered(setting=TlsSetting(setting), protection=protection)
    row = last(Way(an_envelope(), (attempt,), (INBOUND, a_session("out", session))))
    assert (row["TLS_Cipher"], row["TLS_Verified"]) == (cipher, verified)


def test_a_hand_over_without_a_session_is_internal() -> None:
    attempt = delivered(
        setting=TlsSetting.OFF, protection=Protection.CLEAR, session_id=None, round_=1
    )
    assert last(Way(an_envelope(), (attempt,)))["TLS_Cipher"] == "None"


def test_a_delay_and_its_end_column_by_column() -> None:
    final = a_bounce(
        id="b2",
        action=BounceAction.FAILED,
        status=StatusCode(554, "5.4.7"),
        text="[internal] exceeded max time without delivery",
        attempts=9,
        at=AT + timedelta(hours=24),
        notified=Notified.SENDER,
    )
    _, delay, end = rows(Way(an_envelope(), (), (INBOUND,), (a_bounce(), final)))
    assert delay.cells()[2] == "T"
    assert delay.cells()[9:] == (
        "1", "300", "handshaking TLS", "127.0.0.1", "2525", f"451 4.7.5 {TEXT}", "", "",
    )  # fmt: skip
    assert end.cells()[2] == "P"
    assert end.cells()[9:] == (
        "8", "86400", "while not connected", "127.0.0.1", "2525",
        "554 5.4.7 [internal] exceeded max time without delivery", "", "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("code", "notified", "event"),
    [
        ("451 4.7.5", Notified.CLIENT, "T"),  # the client keeps it and tries again
        ("451 4.7.5", Notified.SENDER, "P"),
        ("451 4.7.5", Notified.NOBODY, "P"),
        ("550 5.1.1", Notified.CLIENT, "P"),
        ("550 5.1.1", Notified.SENDER, "P"),
    ],
)
def test_a_failure_is_permanent_unless_somebody_tries_again(
    code: str, notified: Notified, event: str
) -> None:
    status = StatusCode.parse(code)
    bounce = a_bounce(
        action=BounceAction.FAILED, status=status, cause_status=status, notified=notified
    )
    row = last(Way(an_envelope(), (), (), (bounce,)))
    assert (row["Mail Event"], row["Delivery Stage"]) == (event, "handshaking TLS")


def test_without_a_host_there_is_no_relay_address() -> None:
    row = last(Way(an_envelope(), (), (), (a_bounce(address=None, host=None),)))
    assert (row["Relay Address"], row["Relay Port"]) == ("", "")


def test_a_try_that_the_same_round_made_good_is_no_event() -> None:
    failure = LocalRefusal(problem=LocalProblem.INTERNAL, detail="x")
    first = replace(
        delivered(),
        id="a0",
        outcomes=(RecipientOutcome(recipient="u@bank.test", outcome=Deferred(failure=failure)),),
    )
    found = rows(Way(an_envelope(), (first, delivered())))
    assert [row.event for row in found] == [MailEvent.RECEIVED, MailEvent.DELIVERED]


def test_the_sender_is_the_reverse_path_that_hosts_are_told() -> None:
    envelope = replace(an_envelope(), sent_from="app=crm.test__x@bnc.test")
    assert last(Way(envelope))["Sender"] == "app=crm.test__x@bnc.test"


def test_every_recipient_has_rows_of_its_own() -> None:
    way = Way(an_envelope("u@bank.test", "v@bank.test"), (delivered(),))
    assert [(r.event.value, r.recipient) for r in rows(way)] == [
        ("R", "u@bank.test"), ("R", "v@bank.test"), ("D", "u@bank.test"),
    ]  # fmt: skip


def test_times_are_gmt() -> None:
    assert gmt(datetime(2009, 3, 6, 19, 7, tzinfo=timezone(timedelta(hours=5, minutes=30)))) == (
        "3/06/2009 13:37"
    )
    assert gmt(datetime(2009, 11, 26, 3, 7, tzinfo=UTC)) == "11/26/2009 03:07"


def test_many_messages_come_in_the_order_of_time_and_few_are_held() -> None:
    """Messages a minute apart, the first of which is retried while all the others come."""
    made = 0

    def messages() -> Any:
        nonlocal made
        for number in range(500):
            made += 1
            at = AT + timedelta(minutes=number)
            late = a_bounce(at=at + (timedelta(hours=9) if number == 0 else timedelta(seconds=30)))
            yield Way(an_envelope(message_id=f"m{number}", at=at), bounces=(late,))

    found = in_order(messages())
    early = [next(found) for _ in range(10)]
    assert made < 10
    everything = [*early, *found]
    assert len(everything) == 1000
    assert all(one.at <= two.at for one, two in pairwise(everything))


def test_only_events_of_the_time_asked_for() -> None:
    first = Way(an_envelope(), bounces=(a_bounce(),))
    then = Way(an_envelope(message_id="m2", at=AT + timedelta(hours=1)))

    def more() -> Any:
        yield first
        yield then
        raise AssertionError("read on behind the end")

    found = in_order(iter(more()), since=AT + timedelta(minutes=5), until=AT + timedelta(minutes=6))
    assert [row.event for row in found] == [MailEvent.TRANSIENT]
    at_end = in_order([first], since=AT, until=AT + timedelta(minutes=5))
    assert [row.event for row in at_end] == [MailEvent.RECEIVED]


def written(some: tuple[LogRow, ...]) -> str:
    out = io.StringIO(newline="")
    write_header(out)
    write_csv(out, some)
    return out.getvalue()


def read(text: str) -> list[LogRow | LogProblem]:
    return list(read_email_log(io.StringIO(text, newline=""), file="log.csv"))


def test_what_was_written_reads_back_to_the_minute() -> None:
    way = Way(an_envelope('"a,b"@bank.test'), (), (INBOUND,), ())
    bounce = a_bounce(recipient='"a,b"@bank.test', text='it said "no", twice', cause_text="y")
    some = rows(replace(way, bounces=(bounce,)))
    expected = [replace(row, at=row.at.replace(second=0)) for row in some]
    assert read(written(some)) == expected


def test_the_first_line_is_what_the_columns_are_called() -> None:
    (header,) = csv.reader(io.StringIO(written(())))
    assert header[:4] == ["Date/Time", "Internal Message ID", "Mail Event", "Recipient"]
    assert header[-2:] == ["TLS_Cipher", "TLS_Verified"]


def test_an_orgs_own_log_with_other_columns_is_read() -> None:
    text = (
        "\ufeffDATE/TIME,Internal Message ID,mail event,RECIPIENT,Something New,TLS Cipher\r\n"
        "3/06/2009 13:37,16/A4-20983-88E21E84,D,u@bank.test,?,TLSv1.2:AES256-GCM-SHA384\r\n"
        "\r\n"
    )
    assert read(text) == [
        LogRow(
            at=datetime(2009, 3, 6, 13, 37, tzinfo=UTC),
            event=MailEvent.DELIVERED,
            recipient="u@bank.test",
            message_id="16/A4-20983-88E21E84",
            tls_cipher="TLSv1.2:AES256-GCM-SHA384",
        )
    ]


def test_a_list_of_recipients_is_enough() -> None:
    (row,) = read("Recipient\nu@bank.test\n")
    assert isinstance(row, LogRow)
    assert (row.at, row.recipient) == (EPOCH, "u@bank.test")


def test_every_problem_is_told_with_its_place_and_the_rest_is_read() -> None:
    text = (
        "Date/Time,Mail Event,Recipient,Retry Count\n"
        '3/06/2009 13:37,R,"u@bank.test",0\n'
        '"13/45/2009\nnoon",X,no-address,-1\n'
        "3/07/2009 01:00,T,v@bank.test,1\n"
    )
    first, *problems, final = read(text)
    assert isinstance(first, LogRow)
    assert isinstance(final, LogRow)
    told = [str(problem) for problem in problems]
    assert [line.split(": ")[0] for line in told] == [
        "log.csv:3:1", "log.csv:3:2", "log.csv:3:3", "log.csv:3:4",
    ]  # fmt: skip
    assert "3/06/2009 13:37" in told[0]
    assert "R, D, T or P" in told[1]
    assert "whole number" in told[3]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "log.csv:1:1: the file is empty"),
        ("To,From\na@b.test,c@d.test\n", "no column 'Recipient'"),
        (f"Recipient\n{'x' * 200_000}\n", "this is not CSV"),
    ],
)
def test_what_is_no_log_is_one_problem(text: str, says: str) -> None:
    (problem,) = read(text)
    assert isinstance(problem, LogProblem)
    assert says in str(problem)
