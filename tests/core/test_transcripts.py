"""What a transcript keeps of a line: printable, bounded, and without what is to be hidden."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime

import pytest

from relay.core.transcripts import MAX_LINE, MAX_LINES, Direction, TranscriptLog


def noted(text: str, *secrets: str) -> str:
    log = TranscriptLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    log.hide(*secrets)
    log.note(text)
    (line,) = log.lines
    return line.text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("250 hello", "250 hello"),
        ("250 opensesame, hello", "250 [redacted], hello"),
        ("250 \x1bopensesame\x7f", "250 \\x1b[redacted]\\x7f"),
        ("\u2028", "\\u2028"),
        ("", ""),
    ],
    ids=["plain", "secret", "secret-and-controls", "controls", "empty"],
)
def test_what_is_kept_of_a_line(text: str, kept: str) -> None:
    assert noted(text, "opensesame") == kept


def test_a_long_line_is_cut_and_counted() -> None:
    assert noted("x" * (MAX_LINE + 7)) == "x" * MAX_LINE + " [7 more characters]"


def test_what_came_after_the_last_line_that_is_kept_is_counted() -> None:
    moments = (datetime(2026, 1, 1, 0, 0, second % 60, tzinfo=UTC) for second in itertools.count())
    log = TranscriptLog(lambda: next(moments))
    for number in range(MAX_LINES + 3):
        log.note(str(number))
    kept = log.lines
    assert [line.text for line in kept[-2:]] == [str(MAX_LINES - 1), "3 more lines were not kept"]
    assert kept[-1].at == kept[-2].at
    assert kept[:MAX_LINES] == log.lines[:MAX_LINES]


def test_lines_tell_who_spoke_when_and_whether_tls_protected_it() -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    log = TranscriptLog(lambda: at)
    log.reply(Direction.SENT, 250, "a.test\nSIZE 10\nDSN", encrypted=True)
    log.command(Direction.RECEIVED, "AUTH PLAIN c2VjcmV0", encrypted=True)
    log.reply(Direction.SENT, 334, "", encrypted=True)
    log.command(Direction.RECEIVED, "c2VjcmV0", encrypted=True)
    log.reply(Direction.SENT, 235, "2.7.0 Ok", encrypted=True)
    log.command(Direction.RECEIVED, "NOOP", encrypted=False)
    assert {line.at for line in log.lines} == {at}
    assert [str(line) for line in log.lines] == [
        "~~> 250-a.test",
        "~~> 250-SIZE 10",
        "~~> 250 DSN",
        "<~~ AUTH PLAIN [redacted]",
        "~~> 334 ",
        "<~~ [redacted]",
        "~~> 235 2.7.0 Ok",
        "<-- NOOP",
    ]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("AUTH PLAIN AGEAYg==", "AUTH PLAIN [redacted]"),
        ("auth scram-sha-256  biws", "auth scram-sha-256 [redacted]"),
        ("AUTH\tLOGIN\tYQ==", "AUTH\\tLOGIN [redacted]"),
        ("AUTH LOGIN", "AUTH LOGIN"),
        ("AUTH", "AUTH"),
        ("AUTH ", "AUTH "),
        ("Author: somebody", "Author: somebody"),
        # Without a mechanism, or with something else than a blank behind it.
        ("AUTH c2VjcmV0", "AUTH [redacted]"),
        ("AUTH AGFwcABvcGVuc2VzYW1l", "AUTH [redacted]"),
        ("AUTH PLAIN=AGEAYg==", "AUTH [redacted]"),
        ("AUTH\u00a0PLAIN:AGEAYg==", "AUTH [redacted]"),
    ],
)
def test_nothing_but_the_mechanism_is_kept_of_auth(said: str, kept: str) -> None:
    log = TranscriptLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    log.command(Direction.RECEIVED, said, encrypted=False)
    (line,) = log.lines
    assert line.text == kept


def test_of_a_reply_is_kept_what_there_is_room_for() -> None:
    log = TranscriptLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
    for number in range(MAX_LINES - 1):
        log.note(str(number))
    log.reply(Direction.RECEIVED, 250, "a\nb\nc", encrypted=False)
    log.reply(Direction.RECEIVED, 250, "d", encrypted=False)
    assert [line.text for line in log.lines[-2:]] == ["250-a", "3 more lines were not kept"]


def test_a_secret_in_a_reply_is_hidden_also_where_the_reply_was_said_before() -> None:
    for secrets, kept in (((), "535-no opensesame"), (("opensesame",), "535-no [redacted]")):
        log = TranscriptLog(lambda: datetime(2026, 1, 1, tzinfo=UTC))
        log.hide(*secrets)
        log.reply(Direction.RECEIVED, 535, "no opensesame\n\x1b", encrypted=False)
        assert [line.text for line in log.lines] == [kept, "535 \\x1b"]
