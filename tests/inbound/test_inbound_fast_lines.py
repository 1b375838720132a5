"""The quick ways for a message's commands and replies do as the general ones do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.codebook import CodeEntry
from relay.core.replies import StatusCode
from relay.core.settings import TlsMode
from relay.core.transcripts import MAX_LINES, Direction, TranscriptLog
from relay.inbound import replies
from relay.inbound.commands import parse_command, remembered_command
from relay.inbound.session_log import SessionLog

AT = datetime(2026, 1, 1, tzinfo=UTC)
lines = st.one_of(
    st.binary(max_size=20),
    st.tuples(
        st.sampled_from([b"MAIL FROM:<", b"RCPT TO:<", b"DATA", b"AUTH PLAIN ", b"mail from:<"]),
        st.binary(max_size=20) | st.just(b"a@b.test>"),
        st.sampled_from([b"\r\n", b"\n", b" \r\n"]),
    ).map(b"".join),
)


@given(lines)
@example(b"DATA\r\n")
@example("MAIL FROM:<\u00e9@b.test>\r\n".encode())
@example("MAIL FROM:<\u0085@b.test>\r\n".encode())
@example(b"MAIL FROM:<" + b"a" * 600 + b"@b.test>\r\n")
def test_a_remembered_command_is_what_the_parser_reads(line: bytes) -> None:
    found = remembered_command(line)
    if found is not None:
        assert found == parse_command(line)
        assert found.verb in {"MAIL", "RCPT", "DATA"}
        assert found.text.isprintable()


@pytest.mark.parametrize(
    "line", [b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<a@b.test>\r\n", b"DATA\r\n"]
)
def test_the_commands_of_a_message_are_remembered(line: bytes) -> None:
    assert remembered_command(line) is remembered_command(bytes(bytearray(line)))


ENTRIES = [value for value in vars(replies).values() if isinstance(value, CodeEntry)]


@given(
    st.sampled_from(ENTRIES)
    | st.builds(CodeEntry, st.just(StatusCode(550, "5.1.1")), st.text(max_size=500))
)
@example(CodeEntry(StatusCode(550, "5.1.1"), ""))
@example(CodeEntry(StatusCode(550, "5.1.1"), "blanks behind  "))
def test_a_plain_line_is_the_reply_that_is_written_at_length(entry: CodeEntry) -> None:
    line = replies.plain_line(entry)
    if line is not None:
        assert [line] == [f"{entry.status.code} {text}" for text in replies.reply_texts(entry)]


def test_the_replies_of_every_message_are_known_and_no_others() -> None:
    known = [entry for entry in ENTRIES if replies.known_line(entry) is not None]
    assert known == [replies.SENDER_OK, replies.RECIPIENT_OK]
    assert [replies.known_line(entry) for entry in known] == list(map(replies.plain_line, known))


def test_quickly_added_lines_are_bounded_and_free_of_what_is_hidden() -> None:
    log = TranscriptLog(lambda: AT)
    log.hide("secret")
    log.plain(Direction.RECEIVED, "MAIL FROM:<secret@a.test>", encrypted=False)
    assert [line.text for line in log.lines] == ["MAIL FROM:<[redacted]@a.test>"]
    for _ in range(MAX_LINES + 2):
        log.plain(Direction.SENT, "250 2.0.0 Ok", encrypted=True)
    assert len(log.lines) == MAX_LINES + 1
    assert log.lines[-1].text == "3 more lines were not kept"


def test_a_message_behind_auth_is_no_part_of_it() -> None:
    record = SessionLog(id="id0", mode=TlsMode.IMPLICIT, now=lambda: AT)
    record.command("AUTH PLAIN AGEAYg==")
    record.plain_reply("235 2.7.0 Authentication succeeded")
    record.command("EHLO again.test")
    texts = [line.text for line in record.session().transcript]
    assert texts == [
        "AUTH PLAIN [redacted]",
        "235 2.7.0 Authentication succeeded",
        "EHLO again.test",
    ]
