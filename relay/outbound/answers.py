"""What comes back for a command: a reply, or the end of the connection.

The library raises for both; here its exceptions become values, and nobody else looks at them
(except `relay.tls.observe`, for what ended a handshake).
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import aiosmtplib

from relay.core.outcomes import ConnectionFailure, ConnectionProblem, PeerRefusal, Stage
from relay.core.replies import Reply

MAX_REPLY: Final = 2000
"""Characters kept of a reply; RFC 5321 section 4.5.3.1.5 has 512 octets for a line of it."""
MAX_REPLY_LINE: Final = 8192
"""Octets of one line of a reply that are read."""

TROUBLE: Final = (aiosmtplib.SMTPException, OSError)
"""What the library raises for whatever a peer or a network does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """The connection ended instead of an answer; `error` is what the library raised."""

    problem: ConnectionProblem
    detail: str
    error: BaseException

    @classmethod
    def by(cls, error: BaseException) -> Broken:
        """Tell a time-out from a lost connection."""
        if isinstance(error, TimeoutError):
            return cls(problem=ConnectionProblem.TIMEOUT, detail="no answer in time", error=error)
        return cls(problem=ConnectionProblem.LOST, detail=_reason(error), error=error)

    def failure(self, stage: Stage) -> ConnectionFailure:
        """Return the failure that this is at `stage`."""
        return ConnectionFailure(problem=self.problem, stage=stage, detail=self.detail)


Answer = Reply | Broken


def readable(octets: bytes) -> str:
    """Return a peer's octets as text that every encoding can carry, cut to `MAX_REPLY`."""
    text = octets.decode("utf-8", "backslashreplace")
    return text if len(text) <= MAX_REPLY else text[:MAX_REPLY]


@lru_cache(256)
def _short_reply_of(code: int, message: str) -> Reply:
    return reply_from(code, message.encode("utf-8", "surrogateescape"))


def reply_of(code: int, message: str) -> Reply:
    """Return the library's reply as ours, see `reply_from`."""
    if len(message) > MAX_REPLY_LINE:
        return reply_from(code, message.encode("utf-8", "surrogateescape"))
    return _short_reply_of(code, message)


def reply_from(code: int, octets: bytes) -> Reply:
    """Return a reply without lone surrogates in its text, and -1 for no code at all."""
    text = readable(octets)
    if 100 <= code <= 999:
        return Reply(code=code, text=text)
    return Reply(code=-1, text=text if code == -1 else f"{code} {text}")


@lru_cache(256)
def reply_in(line: bytes) -> Reply | None:
    """Return the reply that a line is by itself; None where it is none, or not all of one.

    Hosts say the same few lines over and over.
    """
    code = line[:3]
    if len(line) > MAX_REPLY_LINE or len(code) < 3 or not code.isdigit() or line[3:4] == b"-":
        return None
    return reply_from(int(code), line[4:].strip(b" \t\r"))


def failure_of(answer: Answer, stage: Stage) -> PeerRefusal | ConnectionFailure:
    """Return the failure that an unwelcome answer is at `stage`."""
    if isinstance(answer, Broken):
        return answer.failure(stage)
    return PeerRefusal(reply=answer, stage=stage)


def _reason(error: BaseException) -> str:
    """Return the operating system's reason behind an error, if there is one."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and not isinstance(cause, ssl.SSLError) and cause.errno:
            return os.strerror(cause.errno)
        cause = cause.__cause__
    return "the host closed the connection"
