"""The adapter to aiosmtplib: one connection, whose answers are values and whose dialog is kept.

The only file that knows the library's inside. Its reads and writes are tapped on the protocol
instance, so that the transcript is what really went over the wire, from the greeting on; and its
receive buffer is emptied after each reply, because the library would take what a host sent too
much for the answer to the next command.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from relay.core.replies import Reply
from relay.core.transcripts import Direction, TranscriptLog
from relay.outbound.answers import TROUBLE, Answer, Broken, readable, reply_of

GO_AHEAD: Final = 220
CLOSING: Final = 421
CLOSE_TIMEOUT: Final = 1.0
"""Seconds that a farewell may take before the connection is cut."""
CHUNK: Final = 65_536
"""Octets of a message that are written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StarttlsResult:
    """How STARTTLS went: `reply` is None when it was not answered.

    `error` is what ended the connection: instead of the reply or, after a 220, in the handshake.
    """

    reply: Reply | None
    error: BaseException | None

    @property
    def secured(self) -> bool:
        """Whether TLS stands now."""
        return self.reply is not None and self.reply.code == GO_AHEAD and self.error is None


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyResult:
    """The answer to a message's content; `sent` tells whether all of it went out before."""

    answer: Answer
    sent: bool


class Client:
    """One SMTP connection as a client; `timeout` counts seconds and bounds each answer."""

    def __init__(
        self, *, host: str, local_hostname: str, timeout: float, transcript: TranscriptLog
    ) -> None:
        self._tap = _Tap(transcript)
        self._timeout = timeout
        self._idle = True
        self._smtp = _TappedSMTP(self._tap, host, local_hostname, timeout)

    @property
    def ssl_object(self) -> ssl.SSLObject | None:
        """The TLS session's object, also of one that has ended; None in clear."""
        return self._tap.ssl_object

    @property
    def encrypted(self) -> bool:
        """Whether TLS protects what is sent."""
        return self._tap.ssl_object is not None

    @property
    def idle(self) -> bool:
        """Whether a command can be sent: connected, and none was left without its answer."""
        return self._idle and self._smtp.is_connected

    @property
    def plaintext_after_go_ahead(self) -> int:
        """Octets that came in clear behind the 220 to STARTTLS, and were discarded."""
        return self._tap.plaintext_after_go_ahead

    @property
    def extensions(self) -> dict[str, str]:
        """The keywords of the last EHLO reply in lower case, with their parameters."""
        return self._smtp.esmtp_extensions

    async def greet(self, sock: socket.socket, context: ssl.SSLContext | None) -> Answer:
        """Take over a connected socket and read the greeting, behind a handshake with `context`."""
        return await self._answer(
            self._smtp.connect(sock=sock, use_tls=context is not None, tls_context=context)
        )

    async def ehlo(self) -> Answer:
        """Send EHLO; a 250 fills `extensions`."""
        return await self._answer(self._smtp.ehlo())

    async def helo(self) -> Answer:
        """Send HELO, for hosts that do not know EHLO (RFC 5321 section 3.2)."""
        return await self._answer(self._smtp.helo())

    async def starttls(self, context: ssl.SSLContext, server_name: str) -> StarttlsResult:
        """Send STARTTLS and, after a 220, shake hands as a client of `server_name`."""
        self._tap.last_reply = None
        self._idle = False
        try:
            await self._smtp.starttls(server_hostname=server_name, tls_context=context)
        except aiosmtplib.SMTPResponseException:
            self._idle = True
            return StarttlsResult(reply=self._tap.last_reply, error=None)
        except TROUBLE as error:
            # After a failed handshake nobody reports the end of the connection any more.
            self.abort()
            return StarttlsResult(reply=self._tap.last_reply, error=error)
        self._tap.note_tls()
        self._idle = True
        return StarttlsResult(reply=self._tap.last_reply, error=None)

    async def command(self, *words: bytes) -> Answer:
        """Send a command as it stands; raise ValueError for control characters in it."""
        return await self._answer(self._smtp.execute_command(*words))

    async def body(self, stuffed: bytes, *, note: str) -> BodyResult:
        """Send the octets of a message, its end of data included, and read the confirmation.

        The transcript gets `note` in their stead. Sending stops when the host answers early; the
        time-out starts anew whenever the host has taken another `CHUNK`.
        """
        self._idle = False
        protocol, sent = self._smtp.protocol, False
        try:
            if protocol is None:
                raise aiosmtplib.SMTPServerDisconnected("Server not connected")
            self._tap.begin_body(note)
            for start in range(0, len(stuffed), CHUNK):
                await self._tap.write_body(stuffed[start : start + CHUNK], self._timeout)
                if self._tap.answered:
                    break
            else:
                sent = True
        except TROUBLE as error:
            if protocol is None or not self._tap.answered:
                self._idle = True
                return BodyResult(answer=self._tap.broken_by(error), sent=False)
        answer = await self._answer(protocol.read_response(timeout=self._timeout))
        return BodyResult(answer=answer, sent=sent)

    async def quit(self) -> None:
        """Say QUIT, and wait up to `CLOSE_TIMEOUT` for an answer, whatever it is."""
        await self._answer(self._smtp.quit(timeout=min(self._timeout, CLOSE_TIMEOUT)))

    async def close(self) -> None:
        """Close the connection; cut it when that takes longer than `CLOSE_TIMEOUT`."""
        self._smtp.close()
        if self._tap.transport is None:
            return
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._tap.lost.wait()
        except TimeoutError:
            self.abort()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._smtp.close()
        if self._tap.transport is not None:
            self._tap.transport.abort()
        self._tap.lost.set()

    async def _answer(self, call: Awaitable[SMTPResponse]) -> Answer:
        # Stays so when this is cancelled: the answer may then still come, to the next command.
        self._idle = False
        answer: Answer
        try:
            response = await call
            answer = reply_of(response.code, response.message)
        except aiosmtplib.SMTPResponseException as error:
            answer = self._tap.last_reply or reply_of(error.code, error.message)
        except TROUBLE as error:
            answer = self._tap.broken_by(error)
        self._idle = True
        return answer


class _TappedSMTP(aiosmtplib.SMTP):
    """The library's client; whatever protocol it comes to use is tapped first."""

    def __init__(self, tap: _Tap, host: str, local_hostname: str, timeout: float) -> None:
        self._tap = tap
        self._tapped: SMTPProtocol | None = None
        # Never the library's own STARTTLS: it would go on in clear, or verify, by itself.
        super().__init__(
            hostname=host, local_hostname=local_hostname, timeout=timeout, start_tls=False
        )

    @property
    def protocol(self) -> SMTPProtocol | None:
        return self._tapped

    @protocol.setter
    def protocol(self, protocol: SMTPProtocol | None) -> None:
        # The library sets this once the connection (and an implicit handshake) stands, and before
        # it reads the greeting.
        if protocol is not None and protocol is not self._tapped:
            self._tap.attach(protocol)
        self._tapped = protocol


class _Tap:
    """Sees each write and each reply of one protocol, and tells the transcript."""

    def __init__(self, transcript: TranscriptLog) -> None:
        self._transcript = transcript
        self._protocol: SMTPProtocol | None = None
        self._last_command = b""
        self.last_reply: Reply | None = None
        self.ssl_object: ssl.SSLObject | None = None
        self.transport: asyncio.WriteTransport | None = None
        self.plaintext_after_go_ahead = 0
        self.lost = asyncio.Event()
        self._lost_by: Exception | None = None

    def attach(self, protocol: SMTPProtocol) -> None:
        """Put the tap on a protocol whose connection stands."""
        self._protocol = protocol
        self._write = protocol.write
        self._read = protocol.read_response
        self._connection_lost = protocol.connection_lost
        protocol.write = self.write  # type: ignore[method-assign]
        protocol.read_response = self.read_response  # type: ignore[method-assign]
        protocol.connection_lost = self.connection_lost  # type: ignore[method-assign]
        self.note_tls()

    def note_tls(self) -> None:
        """Take the transport's present state: a new one after STARTTLS."""
        transport = self._protocol.transport if self._protocol is not None else None
        if isinstance(transport, asyncio.WriteTransport):
            self.transport = transport
            self.ssl_object = transport.get_extra_info("ssl_object")

    def write(self, data: bytes) -> None:
        self._last_command = data
        self._write(data)
        line = readable(data.removesuffix(b"\r\n"))
        self._transcript.command(Direction.SENT, line, encrypted=self.ssl_object is not None)

    def begin_body(self, note: str) -> None:
        """Expect a reply from now on; the transcript has only a note of what is written."""
        assert self._protocol is not None
        self._last_command = b""
        self._protocol._response_pending = True
        self._transcript.note(note)

    async def write_body(self, octets: bytes, within: float) -> None:
        """Write a part of the content, and wait until the network has room for the next one."""
        assert self._protocol is not None
        self._write(octets)
        async with asyncio.timeout(within):
            await self._protocol._drain_helper()

    @property
    def answered(self) -> bool:
        """Whether a reply has come that was not read yet."""
        waiter = self._protocol._response_waiter if self._protocol is not None else None
        return waiter is not None and waiter.done() and waiter.exception() is None

    async def read_response(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> SMTPResponse:
        self.last_reply = None
        try:
            response = await self._read(timeout=timeout)
        except aiosmtplib.SMTPResponseException as error:
            # The library leaves a malformed line in its buffer, and would read it again.
            raw = self._take_buffer()
            text = readable(raw).strip() if raw else error.message
            self._receive(Reply(code=-1, text=text))
            raise
        except TROUBLE:
            if raw := self._take_buffer():
                self._transcript.note(f"received without an end: {readable(raw)}")
            raise
        reply = reply_of(response.code, response.message)
        self._receive(reply)
        if extra := self._take_buffer():
            self._transcript.note(f"discarded {len(extra)} octets that followed the reply")
            if self._last_command == b"STARTTLS\r\n" and reply.code == GO_AHEAD:
                self.plaintext_after_go_ahead = len(extra)
        return response

    def broken_by(self, error: BaseException) -> Broken:
        """Return what the library raised, with what ended the connection before as its cause."""
        if error.__cause__ is None and self._lost_by is not None:
            error.__cause__ = self._lost_by
        return Broken.by(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc
        self.lost.set()
        self._connection_lost(exc)

    def _receive(self, reply: Reply) -> None:
        self.last_reply = reply
        self._transcript.reply(
            Direction.RECEIVED, reply.code, reply.text, encrypted=self.ssl_object is not None
        )

    def _take_buffer(self) -> bytes:
        """Empty the library's receive buffer, and return what was in it."""
        if self._protocol is None:
            return b""
        buffer = self._protocol._buffer
        octets = bytes(buffer)
        del buffer[:]
        return octets
