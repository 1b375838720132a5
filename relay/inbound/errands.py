"""What a conversation can't do by itself: the work of a session that waits for something."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.inbound.content import Share
from relay.inbound.incoming import Incoming

LIBRARY_VERBS: Final = ("NOOP", "RSET", "EXPN")
"""The verbs that are left to aiosmtpd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptMessage:
    """Hand a message on, and answer with what becomes of it; `share` is its part of the memory."""

    incoming: Incoming
    share: Share


@dataclass(frozen=True, slots=True)
class BeginTls:
    """Shake hands: STARTTLS was answered, and the client's next octets are the handshake's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticate:
    """Carry out an AUTH exchange; `argument` is what stood behind the verb."""

    argument: str


@dataclass(frozen=True, slots=True)
class LibraryVerb:
    """Carry out a verb as aiosmtpd does."""

    verb: str
    argument: str


@dataclass(frozen=True, slots=True)
class LetOthersRun:
    """Go on later: much was answered at one time."""


Errand = AcceptMessage | BeginTls | Authenticate | LibraryVerb | LetOthersRun
