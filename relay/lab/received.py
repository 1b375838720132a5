"""What the lab's receivers keep: every session, and every message octet for octet.

This is the lab's own testimony. Whether a message was delivered, or whether anything of it ever
left the sender, is read here and not in the sender's records.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from relay.core.transcripts import Direction, Line, TranscriptLog

if TYPE_CHECKING:
    from email.message import EmailMessage

_VERBS: Final = frozenset(
    {"AUTH", "BDAT", "DATA", "EHLO", "ETRN", "EXPN", "HELO", "HELP", "MAIL", "NOOP", "QUIT",
     "RCPT", "RSET", "STARTTLS", "TURN", "VRFY", "XCLIENT"}
)  # fmt: skip
"""What is told of a session by name; any other word may be anything, a password too."""
MAX_SESSIONS: Final = 1000
"""Sessions kept of each receiver; the oldest that have ended go first."""
MAX_CONTENT: Final = 64 * 1024 * 1024
"""Octets of messages kept of each receiver; the oldest messages go first."""
_MESSAGE_OVERHEAD: Final = 1024
_RECIPIENT_OVERHEAD: Final = 64


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

    def parsed(self) -> EmailMessage:
        """Return the content as the standard library reads it, each time anew."""
        import email.policy
        from email import message_from_bytes
        from email.message import EmailMessage

        found = message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    @property
    def weight(self) -> int:
        """Octets that keeping this message costs, roughly."""
        addresses = sum(len(recipient) + _RECIPIENT_OVERHEAD for recipient in self.recipients)
        return len(self.content) + addresses + _MESSAGE_OVERHEAD


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedSession:
    """One connection to a receiver, whatever came of it; `ended_at` is None while it is open.

    `commands` are the verbs of all commands, in order. `octets_received` counts everything that
    came over the socket, `data_octets` what came behind DATA. `plaintext_discarded` counts octets
    that came in clear behind STARTTLS, ahead of the handshake. `handshake_error` is OpenSSL's
    reason where the handshake failed. `messages_forgotten` counts messages that were taken and
    are not kept any more.
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
    messages_forgotten: int


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
        self.messages: deque[ReceivedMessage] = deque()
        self.messages_forgotten = 0
        self._saw_auth = False

    def command(self, verb: str, text: str, *, encrypted: bool) -> None:
        """Keep a client's line, whose first word in upper case is `verb`.

        Of one that is no command, once AUTH was said, only its length is kept: a client that does
        not wait for the refusal goes on with its password. AUTH itself and nothing that merely
        looks like it: what else a client says to a host that refused it is the proof of a leak.
        """
        self.commands.append(verb if verb in _VERBS else "?")
        self._keep(verb, text, encrypted=encrypted)

    def overheard(self, text: str, *, encrypted: bool) -> None:
        """Keep a line that nobody answers, by the same rule; it counts as no command."""
        self._keep(text.partition(" ")[0].upper(), text, encrypted=encrypted)

    def _keep(self, verb: str, text: str, *, encrypted: bool) -> None:
        known = verb in _VERBS
        self._saw_auth = self._saw_auth or verb == "AUTH"
        if known or not (self._saw_auth or text.lstrip()[:5].upper() == "AUTH "):
            self.log.command(Direction.RECEIVED, text, encrypted=encrypted)
        else:
            self.log.note(f"a line of {len(text)} characters that is no command, not kept")

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
            messages_forgotten=self.messages_forgotten,
        )


class SessionStore:
    """The latest sessions of one receiver, within `MAX_SESSIONS` and `MAX_CONTENT`.

    An open session is never forgotten, nor is the newest message.
    """

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, max_content: int = MAX_CONTENT) -> None:
        self._max_sessions = max_sessions
        self._max_content = max_content
        self._records: list[SessionRecord] = []
        self._content = 0

    def add(self, record: SessionRecord) -> None:
        """Keep a session from its beginning."""
        self._records.append(record)
        if len(self._records) > self._max_sessions:
            for old in self._records:
                if old.ended_at is not None:
                    self._content -= sum(message.weight for message in old.messages)
                    self._records.remove(old)
                    break

    def keep(self, record: SessionRecord, message: ReceivedMessage) -> None:
        """Keep a message of a session that is kept."""
        record.messages.append(message)
        self._content += message.weight
        for old in self._records:
            while self._content > self._max_content and old.messages:
                if old.messages[0] is message:
                    return
                self._content -= old.messages.popleft().weight
                old.messages_forgotten += 1

    def clear(self) -> None:
        """Forget the sessions that have ended, and every message."""
        self._records = [record for record in self._records if record.ended_at is None]
        for record in self._records:
            record.messages_forgotten += len(record.messages)
            record.messages.clear()
        self._content = 0

    def snapshot(self) -> tuple[ReceivedSession, ...]:
        """Return the sessions, the oldest first, open ones as they stand."""
        return tuple(record.snapshot() for record in self._records)
