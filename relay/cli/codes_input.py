"""What `relay codes` is given: a code, lines of a log, or a message that came back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Final

from relay.core.code_explain import Explanation, Finality, explain
from relay.core.records import Reading

MAX_OCTETS: Final = 50_000_000
"""Octets read from standard input."""

_RECORD: Final = re.compile(
    r"\s*(?:[A-Z][a-z]{2}\s+\d{1,2} \d\d:|\d{4}-\d\d-\d\d|\d\d?/\d\d?/\d{4})"
)
"""How a log's lines begin: with a time."""
_MESSAGE_FIELDS: Final = (
    "From", "To", "Subject", "Date", "Received", "Return-Path", "Message-ID", "MIME-Version",
    "Content-Type",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to explain, and how often it was there.

    `recipient`, `host` and `reading` are what a notification says of it; None otherwise.
    """

    explanation: Explanation
    count: int = 1
    recipient: str | None = None
    host: str | None = None
    reading: Reading | None = None


def piped() -> bytes:
    """Return what comes on standard input; nothing where that is a terminal or closed."""
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        return b""
    return sys.stdin.buffer.read(MAX_OCTETS)


def items_of(content: bytes) -> tuple[Item, ...]:
    """Return what is worth explaining in lines of text, or in a message that came back.

    Of a message that is no notification, the lines of its text.
    """
    from email import message_from_bytes
    from email.policy import default

    message = message_from_bytes(content, policy=default)
    if sum(name in message for name in _MESSAGE_FIELDS) < 2:
        return items_of_text(content.decode("utf-8", errors="replace"))
    return tuple(_of_message(content)) or items_of_text(_body(message))


def items_of_text(text: str) -> tuple[Item, ...]:
    """Return one item for each different thing that the lines say.

    A line that says nothing by itself, and does not begin a log's record, continues the one right
    before it. Of several, those that tell of success, or of nothing, are left out.
    """
    found = tuple(_explained(text))
    speaking = [e for e in found if _says_something(e)]
    good = {Finality.SUCCESS, Finality.INTERMEDIATE}
    failures = [e for e in speaking if e.finality not in good]
    return tuple(_counted(failures or speaking or found))


def _says_something(about: Explanation) -> bool:
    return about.known or about.finality is not Finality.UNKNOWN


def _explained(text: str) -> Iterator[Explanation]:
    lines: list[str] = []
    first: Explanation | None = None
    for line in text.splitlines():
        alone = explain(line)
        starts = not line.strip() or _says_something(alone) or bool(_RECORD.match(line))
        if starts and first is not None:
            yield first if len(lines) == 1 else explain("\n".join(lines))
            lines, first = [], None
        if line.strip():
            lines.append(line)
            first = first or alone
    if first is not None:
        yield first if len(lines) == 1 else explain("\n".join(lines))


def _counted(found: Sequence[Explanation]) -> Iterator[Item]:
    groups: dict[object, list[Explanation]] = {}
    for one in found:
        first = one.causes[0].cause if one.causes else None
        groups.setdefault((one.reply, one.enhanced, first), []).append(one)
    for same in groups.values():
        yield Item(explanation=same[0], count=len(same))


def _of_message(content: bytes) -> Iterator[Item]:
    from relay.formats.dsn_reading import read_report

    for reported in read_report(content):
        yield Item(
            explanation=explain(f"{reported.status} {reported.text}"),
            recipient=reported.addresses[0] if reported.addresses else None,
            host=reported.host,
            reading=reported.reading,
        )


def _body(message: EmailMessage) -> str:
    part = message.get_body(("plain", "html"))
    if part is None:
        return ""
    try:
        return str(part.get_content())
    except (LookupError, ValueError):
        # A character set that nobody knows, or an encoding that is broken.
        payload = part.get_payload(decode=True)
        return payload.decode("ascii", errors="replace") if isinstance(payload, bytes) else ""
