"""What is kept of one inbound session while it lasts, and its record at the end."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from datetime import datetime

from relay.core.codebook import CodeEntry
from relay.core.evidence import Handshake, HandshakeDone, NotTried, TlsEvidence
from relay.core.records import Session, SessionDirection
from relay.core.replies import Reply
from relay.core.settings import TlsMode
from relay.core.transcripts import Direction, TranscriptLog
from relay.tls.observe import observe_failed


class SessionLog:
    """Collects transcript and TLS evidence; secrets never enter.

    A line that is no command is kept only as long as nobody spoke of AUTH: a client whose AUTH was
    refused may go on and send its password as if it had not been. `peer` is the client's address
    and port, `client` the address alone.
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002
        mode: TlsMode,
        now: Callable[[], datetime],
    ) -> None:
        self.id = id
        self.peer = "unknown"
        self.client = "unknown"
        self.encrypted = False
        self.commands_since_handshake = 0
        self._mode = mode
        self._now = now
        self._started_at = now()
        self._transcript = TranscriptLog(now)
        self._saw_auth = False
        self._handshake: Handshake = NotTried()
        self._starttls_offered: bool | None = None
        self._starttls_reply: Reply | None = None
        self._discarded = 0

    def connected(self, peername: tuple[str, int] | None) -> None:
        """Note who connected, by the socket's address."""
        if peername is not None:
            host, port = peername[:2]
            self.client = host
            self.peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def tls(self) -> str | None:
        """Version and cipher of the session's TLS, None in clear."""
        match self._handshake:
            case HandshakeDone(version=version, cipher=cipher):
                return f"{version} {cipher}"
            case _:
                return None

    def command(self, text: str) -> None:
        """Keep a command that was recognised."""
        self.commands_since_handshake += 1
        self._saw_auth = self._saw_auth or text[:4].upper() == "AUTH"
        self._transcript.command(Direction.RECEIVED, text, encrypted=self.encrypted)

    def command_of_message(self, text: str) -> None:
        """Keep a command that `remembered_command` returned, as `command` does, and faster."""
        self.commands_since_handshake += 1
        self._transcript.plain(Direction.RECEIVED, text, encrypted=self.encrypted)

    def auth_response(self) -> None:
        """Keep that the client answered a challenge, not what."""
        self._transcript.command(Direction.RECEIVED, "", encrypted=self.encrypted)

    def not_a_command(self, line: bytes) -> None:
        """Keep a line that was not recognised."""
        self.commands_since_handshake += 1
        self._saw_auth = self._saw_auth or b"AUTH" in line.upper()
        if self._saw_auth:
            self.note(f"a line of {len(line)} octets that is no command, not kept")
        else:
            text = line.decode("utf-8", "backslashreplace").removesuffix("\n").removesuffix("\r")
            self._transcript.command(Direction.RECEIVED, text, encrypted=self.encrypted)

    def reply(self, code: int, texts: Sequence[str]) -> None:
        """Keep a reply of ours."""
        self._transcript.reply(Direction.SENT, code, "\n".join(texts), encrypted=self.encrypted)

    def plain_reply(self, line: str) -> None:
        """Keep a reply of ours, but none that asks for more: code and text."""
        self._transcript.plain(Direction.SENT, line, encrypted=self.encrypted)

    def note(self, text: str) -> None:
        """Keep a remark."""
        self._transcript.note(text)

    def extensions(self, texts: Sequence[str]) -> None:
        """Note what EHLO announced."""
        if self._mode is TlsMode.STARTTLS and not self.encrypted:
            self._starttls_offered = "STARTTLS" in texts

    def starttls(self, reply: CodeEntry) -> None:
        """Note that STARTTLS was answered with `reply`."""
        text = f"{reply.status.enhanced} {reply.text}"
        self._starttls_reply = Reply(code=reply.status.code, text=text)

    def discarded(self, octets: int) -> None:
        """Note how much came in clear behind STARTTLS and was thrown away."""
        self._discarded = octets
        if octets:
            self.note(f"{octets} octets in clear behind STARTTLS were discarded (RFC 3207)")

    def handshake_done(self, ssl_object: ssl.SSLObject) -> None:
        """Note that TLS is on."""
        cipher = ssl_object.cipher()
        self._handshake = HandshakeDone(
            version=ssl_object.version() or "unknown", cipher=cipher[0] if cipher else "unknown"
        )
        self.encrypted = True
        self.commands_since_handshake = 0
        self.note(f"TLS handshake done: {self.tls}")

    def handshake_failed(self, error: BaseException) -> None:
        """Note why there is no TLS, or none that the client accepts."""
        failed, _ = observe_failed(error)
        self._handshake = failed
        self.note(f"TLS handshake failed: {failed.detail}")

    def session(self) -> Session:
        """Return the session as it is kept; it ends now."""
        ended_at = self._now()
        return Session(
            id=self.id,
            direction=SessionDirection.INBOUND,
            peer=self.peer,
            hop=None,
            started_at=self._started_at,
            ended_at=ended_at,
            evidence=TlsEvidence(
                mode=self._mode,
                observed_at=ended_at,
                starttls_offered=self._starttls_offered,
                starttls_sent=self._starttls_reply is not None,
                starttls_reply=self._starttls_reply,
                handshake=self._handshake,
                plaintext_after_go_ahead=self._discarded,
            ),
            faults=(),
            transcript=self._transcript.lines,
        )
