"""A session's dialog, line by line, with secrets taken out on entry."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from functools import lru_cache
from typing import Final

from relay.core.replies import code_text

MAX_LINE: Final = 2000
"""Characters kept of one line; the rest is counted, not kept."""
MAX_LINES: Final = 2000
"""Lines kept of one session."""


@unique
class Direction(Enum):
    """Which way a line went, seen from the side that keeps the transcript."""

    SENT = "sent"
    RECEIVED = "received"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line without its line end; `encrypted` tells whether TLS protected it."""

    direction: Direction
    encrypted: bool
    at: datetime
    text: str

    def __str__(self) -> str:
        arrows = {
            (Direction.SENT, False): "-->",
            (Direction.SENT, True): "~~>",
            (Direction.RECEIVED, False): "<--",
            (Direction.RECEIVED, True): "<~~",
        }
        return f"{arrows.get((self.direction, self.encrypted), ' * ')} {self.text}"


_AUTH: Final = re.compile(
    r"((?i:AUTH)\s+(?:[A-Z0-9_-]{1,20}|[a-z0-9_-]{1,20}))(\s+\S.*)?\s*", re.DOTALL
)
"""A mechanism has 20 characters (RFC 4422 section 3.1); base64 in its place mixes the cases."""


class TranscriptLog:
    """Collects the lines of one session in progress; `lines` is the record.

    An AUTH command's initial response is cut at once, and so is whatever the client says while
    the server asks for more (RFC 4954: 334): no secret is ever held here, and none that is known by
    `hide` even where the other side repeats it.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        # A line is added for every command of every message, and read once, at the end.
        self._kept: list[tuple[Direction, bool, datetime, str]] = []
        self._room = MAX_LINES
        self._in_auth = False
        self._hidden: tuple[str, ...] = ()

    def hide(self, *secrets: str) -> None:
        """Keep these texts out from now on, whoever says them; empty ones count for nothing."""
        known = {*self._hidden, *(secret for secret in secrets if secret)}
        # One may be a part of another, which then has to go first.
        self._hidden = tuple(sorted(known, key=len, reverse=True))

    def without_secrets(self, text: str) -> str:
        """Return a text with what is to be hidden taken out."""
        for secret in self._hidden:
            text = text.replace(secret, "[redacted]")
        return text

    @property
    def lines(self) -> tuple[Line, ...]:
        """The lines so far."""
        kept = self._kept
        if self._room < 0:
            more = f"{-self._room} more lines were not kept"
            kept = [*kept, (Direction.NOTE, False, kept[-1][2], more)]
        made = [
            Line(direction=direction, encrypted=encrypted, at=at, text=text)
            for direction, encrypted, at, text in kept
        ]
        return tuple(made)

    def command(self, direction: Direction, text: str, *, encrypted: bool) -> None:
        """Add a client's line: sent on the client's side, received on the server's."""
        if self._in_auth or (text[:1] in {"A", "a"} and text[:4].upper() == "AUTH"):
            text = self._without_login(text)
        self._add(direction, text, encrypted)

    def reply(self, direction: Direction, code: int, text: str, *, encrypted: bool) -> None:
        """Add a server's reply, one line for each of its lines."""
        if code != 334:
            self._in_auth = False
        if self._hidden:
            for line in _lines_of(code, text):
                self._add(direction, line, encrypted)
            return
        # Hosts say the same few replies over and over.
        lines = _short_reply(code, text) if len(text) <= MAX_LINE else _readable_reply(code, text)
        self._room -= len(lines)
        if self._room < 0:
            lines = lines[: max(0, len(lines) + self._room)]
        at = self._now()
        for line in lines:
            self._kept.append((direction, encrypted, at, line))

    def note(self, text: str) -> None:
        """Add a remark of ours: a handshake's end, a message's size, a verdict."""
        self._add(Direction.NOTE, text, False)

    def plain(self, direction: Direction, text: str, *, encrypted: bool) -> None:
        """Add a line of printable text, `MAX_LINE` at most, that belongs to no AUTH exchange."""
        self._in_auth = False
        if self._hidden or self._room <= 0:
            self._add(direction, text, encrypted)
            return
        self._room -= 1
        self._kept.append((direction, encrypted, self._now(), text))

    def _without_login(self, text: str) -> str:
        """Return a client's line of an AUTH exchange, or one that begins it."""
        if self._in_auth:
            return "[redacted]"
        self._in_auth = text[4:5].isspace()
        if not (self._in_auth and text[4:].strip()):
            return text
        found = _AUTH.fullmatch(text)
        if found is None:
            return f"{text[:4]} [redacted]"
        return f"{found[1]} [redacted]" if found[2] else text

    def _add(self, direction: Direction, text: str, encrypted: bool) -> None:
        self._room -= 1
        if self._room < 0:
            return
        if self._hidden:
            text = self.without_secrets(text)
        self._kept.append((direction, encrypted, self._now(), _readable(text)))


def _readable(text: str) -> str:
    """Return one line's text printable, and cut."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    if len(text) > MAX_LINE:
        text = f"{text[:MAX_LINE]} [{len(text) - MAX_LINE} more characters]"
    return text


def _lines_of(code: int, text: str) -> tuple[str, ...]:
    """Return the lines of a reply."""
    said = code_text(code)
    *parts, last = text.split("\n")
    return (*(f"{said}-{part}" for part in parts), f"{said} {last}")


def _readable_reply(code: int, text: str) -> tuple[str, ...]:
    """Return the lines of a reply as they are kept."""
    return tuple(_readable(line) for line in _lines_of(code, text))


@lru_cache(256)
def _short_reply(code: int, text: str) -> tuple[str, ...]:
    return _readable_reply(code, text)
