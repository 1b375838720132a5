"""A glance at octets passes over only what a search, which reads everything, would not find."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from email import message_from_bytes
from email.message import Message
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
import record_builders as build
from client_faces import NOON
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from relay.core.records import BodyType, Envelope
from relay.journal.api import Batch, Deletion, NewMessage, RecipientState
from relay.journal.sqlite_journal import SqliteJournal, open_journal
from relay.web.mail_parts import read_message
from relay.web.mailpit_glance import Glance
from relay.web.mailpit_index import MailIndex
from relay.web.mailpit_message import MailMessage
from relay.web.mailpit_row import MailRow, row_of
from relay.web.mailpit_search import Contains, Part, Term, parse_search, searchable

COLUMNS: Final = {
    Part.FROM: ("sender",),
    Part.TO: ("recipients",),
    Part.CC: ("cc",),
    Part.BCC: ("bcc",),
    Part.REPLY_TO: ("reply_to",),
    Part.ADDRESSED: ("sender", "recipients", "cc", "bcc", "reply_to"),
    Part.SUBJECT: ("subject",),
    Part.MESSAGE_ID: ("message_id",),
    Part.ANYWHERE: ("words",),
}
PLAIN: Final = (
    b"From: Ann Lee <ann@app.test>\r\nTo: Bob <bob@x.test>\r\nSubject: Invoice 17\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\nYour invoice is here.\r\n"
)
NAMES: Final = st.sampled_from(
    [b"From", b"to", b"Cc", b"BCC", b"Reply-To", b"Subject", b"Message-ID", b"X-Other",
     b"Content-Type", b"Content-Transfer-Encoding", b"Content-Disposition"]
)  # fmt: skip
PIECES: Final = st.sampled_from(
    [b"ann", b"Bob", b"x.test", b"@", b"@y.", b" ", b"\t", b"\r\n ", b"\r\n\t", b'"', b"\\",
     b"(", b")", b"<", b">", b",", b";", b":", b".", b"=?utf-8?q?a=C3=A9b?=", b"\xc3\xa9", b"\xff",
     b"K\xe2\x84\xaa", b"text/plain", b"text/html", b"multipart/mixed; boundary=b", b"attachment",
     b"message/rfc822", b"base64", b"quoted-printable", b"8bit", b"x-uuencode", b"; charset=utf-8",
     b"; charset=utf-7", b'; charset="utf-16"', b"; charset=cp037", b"; charset*=utf-16''x",
     b"; filename*=utf-8''a%20b", b'; filename="a\\b.txt"', b"; name*0=a; name*1=b", b"=41",
     b"\x00", b"\x1f"]
)  # fmt: skip
BODY: Final = st.sampled_from(
    [b"Hello", b"hel", b"lo", b" ", b"\r\n", b"\n", b"\r", b"--b", b"--b--", b"&amp;", b"<b>",
     b"</b>", b"=41", b"=\r\n", b"SGVsbG8=", b"+AGE-", b"(", b",", b"\\", b"\x00h\x00i",
     b"\xc3\xa9", b"Subject: x"]
)  # fmt: skip


BASE64_PART: Final = b"--b\r\nContent-Transfer-Encoding: base64\r\n\r\naW52b2ljZQ==\r\n--b--\r\n"


def joined(pieces: st.SearchStrategy[bytes], most: int) -> st.SearchStrategy[bytes]:
    return st.lists(pieces, max_size=most).map(b"".join)


LINES: Final = st.tuples(NAMES, joined(PIECES, 6)).map(lambda line: line[0] + b": " + line[1])
OCTETS: Final = st.tuples(
    st.lists(LINES, max_size=6).map(b"\r\n".join),
    st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\nno header\r\n\r\n", b""]),
    joined(BODY, 8),
).map(b"".join)
RECIPIENTS: Final = st.lists(
    st.sampled_from(["u@x.test", "Hidden@y.test", "é@x.test", '"a b"@x.test']), max_size=2
)


def an_envelope(number: int, octets: bytes, recipients: Sequence[str]) -> Envelope:
    values: dict[str, Any] = {
        "id": f"m{number:016d}",
        "recipients": tuple(recipients) or ("u@x.test",),
        "received_at": NOON,
        "size": len(octets),
        "sha256": sha256(octets).hexdigest(),
        "body": BodyType.EIGHT_BIT,
    }
    envelope: Envelope = build.envelope(**values)
    return envelope


def finds(row: MailRow, terms: Sequence[Term]) -> bool:
    """Whether a search finds a message, the slow way."""
    found = []
    for term in terms:
        assert isinstance(term.condition, Contains)
        texts = [getattr(row, column) for column in COLUMNS[term.condition.part]]
        found.append(any(term.condition.text in text for text in texts) is not term.negated)
    return all(found)


@given(OCTETS, RECIPIENTS, st.sampled_from(list(COLUMNS)), st.data())
@settings(max_examples=300)
def test_what_a_message_says_is_never_passed_over(
    octets: bytes, recipients: list[str], part: Part, data: st.DataObject
) -> None:
    envelope = an_envelope(1, octets, recipients)
    row = row_of(envelope, MailMessage(octets))
    says = " ".join(getattr(row, column) for column in COLUMNS[part])
    assume(says.strip())
    begin = data.draw(st.integers(0, len(says) - 1))
    text = searchable(says[begin : begin + data.draw(st.integers(1, 30))])
    terms = (Term(Contains(part, text)),)
    assume(text and finds(row, terms))
    assert not Glance(terms).passes_over(octets, envelope.recipients)


@pytest.mark.parametrize(
    ("search", "passed"),
    [
        ("to:bob@x.test", False),
        ("to:nobody@x.test", True),
        ("subject:invoice from:ann", False),
        ("subject:invoice from:nobody", True),
        ('"invoice 17"', False),
        ("nowhere", True),
        ("hidden@y.test", False),
        ("bcc:hidden", False),
        ("bcc:nobody", True),
        ("-nowhere", False),
        ("tag:nowhere", False),
        ("has:attachment", False),
        ("größe", True),
    ],
)
def test_a_plain_message_is_told_by_its_octets(search: str, passed: bool) -> None:
    glance = Glance(parse_search(search))
    assert glance.passes_over(PLAIN, ("bob@x.test", "hidden@y.test")) is passed


@pytest.mark.parametrize(
    ("octets", "search"),
    [
        (b"To: u@x(not yet).test\r\n\r\n", "to:u@x.test"),
        (b"To: u@x. test\r\n\r\n", "to:u@x.test"),
        (b'From: "An\\n Lee" <a@x.test>\r\n\r\n', '"from:ann lee"'),
        (b"Subject: =?utf-8?q?Invo=69ce?=\r\n\r\n", "subject:invoice"),
        (b"Subject: \xc3\x89t\xc3\xa9\r\n\r\n", "subject:\u00e9t\u00e9"),
        (b"Content-Type: text/html\r\n\r\nInv<b>oi</b>ce", "invoice"),
        (b"Content-Type: text/html\r\n\r\nBob &amp; Ann", "&"),
        (b"Content-Transfer-Encoding: BASE64\r\n\r\naW52b2ljZQ==", "invoice"),
        (b"Content-Transfer-Encoding: quoted-printable\r\n\r\ninvo=69ce", "invoice"),
        (
            b"Content-Transfer-Encoding: x-uue\r\n\r\nbegin 644 x\r\n':6YV;VEC90  \r\n \r\nend\r\n",
            "invoice",
        ),
        (b"Content-Type: text/plain; charset=utf-7\r\n\r\nr+AOk-sum+AOk-", "r\u00e9sum\u00e9"),
        (b'Content-Type: text/plain; charset="utf-16le"\r\n\r\ni\0n\0v\0', "inv"),
        (b"Content-Disposition: attachment; filename*=utf-8''in%76oice\r\n\r\n", "invoice"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + BASE64_PART, "invoice"),
    ],
)
def test_what_octets_say_in_another_way_is_read(octets: bytes, search: str) -> None:
    terms = parse_search(search)
    envelope = an_envelope(1, octets, ())
    assert finds(row_of(envelope, MailMessage(octets)), terms)
    assert not Glance(terms).passes_over(octets, envelope.recipients)


@given(OCTETS)
@settings(max_examples=200)
@example(b"\r\n\r\nx")
@example(b"Subject: x\r\n\n\r\n\r\nbody")
@example(b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHi\r\n--b--\r\n")
@example(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nHi\r\n")
def test_a_message_is_taken_apart_as_the_library_does(octets: bytes) -> None:
    def form(part: Message) -> object:
        if not part.is_multipart():
            return [*part.raw_items()], part.get_payload(decode=True)
        return [*part.raw_items()], [
            form(each) for each in part.get_payload() if isinstance(each, Message)
        ]

    assert form(read_message(octets)) == form(message_from_bytes(octets))


SEARCHES: Final = ["ann", "-ann", "to:bob", "hello", "-hello to:x.test", "subject:ann", "é", "cc:u"]
STEPS: Final = st.lists(
    st.one_of(
        st.tuples(OCTETS, RECIPIENTS),
        st.integers(0, 9),
        st.sampled_from(SEARCHES),
    ),
    min_size=4,
    max_size=16,
)


@given(STEPS)
@settings(max_examples=40, deadline=None)
def test_searches_between_arrivals_and_deletions_find_what_reading_all_finds(
    steps: list[tuple[bytes, list[str]] | int | str],
) -> None:
    with TemporaryDirectory() as directory:
        asyncio.run(_run(Path(directory), steps))


async def _run(directory: Path, steps: list[tuple[bytes, list[str]] | int | str]) -> None:
    kept: dict[str, MailRow] = {}
    async with open_journal(directory / "journal.sqlite3", bounce_lines=None) as journal:
        index = MailIndex(journal.reader, lambda: False)
        for number, step in enumerate(steps):
            match step:
                case str():
                    terms = parse_search(step)
                    wanted = {own for own, row in kept.items() if finds(row, terms)}
                    assert set(index.ids(terms)) == wanted, step
                case int():
                    await _delete(journal, gone := [*kept][step : step + 1])
                    for own in gone:
                        del kept[own]
                case octets, recipients:
                    envelope = an_envelope(number, octets, recipients)
                    message = NewMessage(
                        envelope=envelope,
                        content=octets,
                        state=RecipientState.DELIVERED,
                        next_at=None,
                    )
                    await journal.writer.write(Batch(messages=(message,)))
                    kept[envelope.id] = row_of(envelope, MailMessage(octets))


async def _delete(journal: SqliteJournal, ids: Sequence[str]) -> None:
    if ids:
        await journal.writer.write(Batch(deletions=(Deletion(messages=tuple(ids)),)))
