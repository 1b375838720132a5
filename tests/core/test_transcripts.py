"""What a transcript keeps of a line: printable, bounded, and without what is to be hidden."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from relay.core.transcripts import MAX_LINE, TranscriptLog


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
