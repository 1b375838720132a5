"""What the lab's receivers keep: every session, and every message octet for octet.

This is the lab's own testimony. Whether a message was delivered, or whether anything of it ever
left the sender, is read here and not in the sender's records.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from relay.core.transcripts import Line, TranscriptLog

MAX_SESSIONS: Final = 1000
"""Sessions kept of each receiver; the oldest go first."""
MAX_CONTENT: Final = 64 * 1024 * 1024
"""Octets of message content kept of each receiver."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedMessage:
    """A message that a receiver took responsibility for.

    `content` is what the client sent between DATA and the final dot, without dot-stuffing.
    `encrypted` tells whether TLS protected it on the way.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    encrypted: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSession:
    """One connection to a receiver, whatever came of it; `ended_at` is None while it is open.

    `commands` are the verbs of all commands, in order. `octets_received` counts everything that
    came over the socket, `data_octets` what came behind DATA. `plaintext_discarded` counts octets
    that came in clear behind STARTTLS, ahead of the handshake. `handshake_error` is OpenSSL's
    reason where the handshake failed.
    """

    id: str
    receiver: str
    peer: str
    started_at: datetime
    ended_at: datetime | None
    transcript: tuple[Line, ...]
    tls_version: str | None
    cipher: str | None
    handshake_error: str | None
    auth_seen: bool
    commands: tuple[str, ...]
    octets_received: int
    data_octets: int
    plaintext_discarded: int
    messages: tuple[ReceivedMessage, ...]


@dataclass(slots=True)
class Octets:
    """Counts one session's octets: over the socket, behind DATA, and discarded ahead of TLS."""

    received: int = 0
    data: int = 0
    discarded: int = 0


class SessionRecord:
    """Collects one session in progress; the receiver alone writes to it."""

    def __init__(
        self, *, session_id: str, receiver: str, peer: str, started_at: datetime, log: TranscriptLog
    ) -> None:
        self._id = session_id
        self._receiver = receiver
        self._peer = peer
        self._started_at = started_at
        self.log = log
        self.ended_at: datetime | None = None
        self.tls_version: str | None = None
        self.cipher: str | None = None
        self.handshake_error: str | None = None
        self.commands: list[str] = []
        self.octets = Octets()
        self.messages: list[ReceivedMessage] = []

    def snapshot(self) -> ReceivedSession:
        """Return the session as it stands."""
        return ReceivedSession(
            id=self._id,
            receiver=self._receiver,
            peer=self._peer,
            started_at=self._started_at,
            ended_at=self.ended_at,
            transcript=self.log.lines,
            tls_version=self.tls_version,
            cipher=self.cipher,
            handshake_error=self.handshake_error,
            auth_seen="AUTH" in self.commands,
            commands=tuple(self.commands),
            octets_received=self.octets.received,
            data_octets=self.octets.data,
            plaintext_discarded=self.octets.discarded,
            messages=tuple(self.messages),
        )


class SessionStore:
    """The latest sessions of one receiver, within `MAX_SESSIONS` and `MAX_CONTENT`.

    The newest session is kept whatever its size.
    """

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, max_content: int = MAX_CONTENT) -> None:
        self._max_sessions = max_sessions
        self._max_content = max_content
        self._records: deque[SessionRecord] = deque()

    def add(self, record: SessionRecord) -> None:
        """Keep a session from its beginning."""
        self._records.append(record)
        self.trim()

    def trim(self) -> None:
        """Forget the oldest sessions that are over the limits."""
        content = sum(len(m.content) for record in self._records for m in record.messages)
        while len(self._records) > 1 and (
            len(self._records) > self._max_sessions or content > self._max_content
        ):
            content -= sum(len(m.content) for m in self._records.popleft().messages)

    def clear(self) -> None:
        """Forget everything."""
        self._records.clear()

    def snapshot(self) -> tuple[ReceivedSession, ...]:
        """Return the sessions, the oldest first, open ones as they stand."""
        return tuple(record.snapshot() for record in self._records)

    @property
    def all_ended(self) -> bool:
        """Whether no session is open."""
        return all(record.ended_at is not None for record in self._records)
