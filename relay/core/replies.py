"""SMTP replies: a peer's words as they came, and the codes that we emit ourselves."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

_ENHANCED: Final = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})(?=\s|$)")
_EMITTED: Final = re.compile(r"([245])\.(0|[1-9]\d{0,2})\.(0|[1-9]\d{0,2})")


@dataclass(frozen=True, slots=True)
class StatusCode:
    """A code that we emit: reply code (RFC 5321) and enhanced status code (RFC 3463).

    The two always agree in class, by construction: ValueError otherwise.
    """

    code: int
    enhanced: str

    def __post_init__(self) -> None:
        found = _EMITTED.fullmatch(self.enhanced)
        if not found:
            raise ValueError(f"{self.enhanced!r} is not an enhanced status code (RFC 3463)")
        if not 200 <= self.code <= 599 or str(self.code)[0] != found[1]:
            raise ValueError(
                f"reply code {self.code} and enhanced code {self.enhanced} differ in class"
            )

    def __str__(self) -> str:
        return f"{self.code} {self.enhanced}"

    @property
    def permanent(self) -> bool:
        """Whether the code is a final refusal (class 5)."""
        return self.code >= 500

    @classmethod
    def parse(cls, text: str) -> StatusCode:
        """Read '451 4.7.5'; raise ValueError for anything else."""
        code, _, enhanced = text.strip().partition(" ")
        if not code.isdigit():
            raise ValueError(f"{text!r} is not a status code such as '451 4.7.5'")
        return cls(int(code), enhanced.strip())


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def code_text(code: int) -> str:
    """Return a reply's code as people read it; -1 stands for none at all."""
    return "(no code)" if code == -1 else str(code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A peer's reply, verbatim: `code` is -1 when it sent something that is not a reply.

    `text` may have several lines, parted by a newline, without codes.
    """

    code: int
    text: str

    def __str__(self) -> str:
        """Return the reply on one line, for people: what a terminal would obey is escaped."""
        return _printable(f"{code_text(self.code)} {self.text}".replace("\n", " "))

    @property
    def positive(self) -> bool:
        """Whether the reply is of class 2 or 3."""
        return 200 <= self.code < 400

    @property
    def permanent(self) -> bool:
        """Whether the reply is a final refusal (class 5)."""
        return 500 <= self.code < 600

    @property
    def status(self) -> StatusCode:
        """The reply as a code of ours: its own where it makes sense, x.0.0 without an enhanced one.

        A reply that is no reply at all counts as 451 4.5.0 (RFC 3463: protocol error).
        """
        if not 200 <= self.code <= 599 or self.code // 100 == 3:
            return StatusCode(451, "4.5.0")
        found = self._own_enhanced(self.text)
        if found is None:
            return StatusCode(self.code, f"{self.code // 100}.0.0")
        return StatusCode(self.code, ".".join(str(int(part)) for part in found.groups()))

    @property
    def words(self) -> str:
        """The text on one line, without an enhanced status code of its own class in front.

        What a terminal would obey is escaped.
        """
        flat = " ".join(self.text.split())
        found = self._own_enhanced(flat)
        return _printable(flat if found is None else flat[found.end() :].strip())

    def _own_enhanced(self, text: str) -> re.Match[str] | None:
        found = _ENHANCED.match(text)
        return found if found and int(found[1]) == self.code // 100 else None


@unique
class ReplyMode(Enum):
    """When the client gets its answer to DATA."""

    INLINE = "inline"
    """After one round of tries, with the outcome itself."""
    QUEUED = "queued"
    """As soon as the message is durable."""
