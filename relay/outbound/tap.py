"""The tap on aiosmtplib's protocol: what really went over the wire, and nothing left over.

The only file that knows the library's inside. Reads and writes are tapped on the protocol instance,
so that the transcript is the dialog itself, from the greeting on; the receive buffer is emptied
after each reply, because the library would take what a host sent too much for the answer to the
next command.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final, cast

import aiosmtplib
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from relay.core.replies import Reply
from relay.core.transcripts import Direction, TranscriptLog
from relay.outbound.answers import TROUBLE, Broken, readable, reply_of

GO_AHEAD: Final = 220
"""The reply to STARTTLS behind which the handshake begins; also that of a greeting."""


class Tap:
    """Sees each write and each reply of one protocol, and tells the transcript.

    `timeout` counts seconds and bounds each reply for which the library says nothing else.
    """

    def __init__(self, transcript: TranscriptLog, *, timeout: float) -> None:
        self._transcript = transcript
        self._timeout = timeout
        self._protocol: SMTPProtocol | None = None
        self._last_command = b""
        self.last_reply: Reply | None = None
        self.ssl_object: ssl.SSLObject | None = None
        self.transport: asyncio.WriteTransport | None = None
        self.plaintext_after_go_ahead = 0
        self.lost = asyncio.Event()
        self.lost_by: Exception | None = None
        """What ended the connection, where something did."""

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
        if transport is not None:
            # No `isinstance`: uvloop's transports are not of asyncio's classes.
            self.transport = cast(asyncio.WriteTransport, transport)
            self.ssl_object = transport.get_extra_info("ssl_object")

    def write(self, data: bytes) -> None:
        self._last_command = data
        self._write(data)
        line = readable(data.removesuffix(b"\r\n"))
        self._transcript.command(Direction.SENT, line, encrypted=self.ssl_object is not None)

    async def read_response(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> SMTPResponse:
        self.last_reply = None
        try:
            response = await self._read_within(self._timeout if timeout is None else timeout)
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

    async def _read_within(self, seconds: float) -> SMTPResponse:
        # The library waits by `asyncio.wait_for`, which costs more than anything else that it does,
        # and (before Python 3.12) loses a cancellation that comes together with the reply.
        try:
            async with asyncio.timeout(seconds):
                return await self._read()
        except TimeoutError as error:
            raise aiosmtplib.SMTPReadTimeoutError("no reply in time") from error

    def broken_by(self, error: BaseException) -> Broken:
        """Return what the library raised, with what ended the connection before as its cause."""
        if error.__cause__ is None and self.lost_by is not None:
            error.__cause__ = self.lost_by
        return Broken.by(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_by = exc
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


class TappedSMTP(aiosmtplib.SMTP):
    """The library's client; whatever protocol it comes to use is tapped first."""

    def __init__(self, tap: Tap, host: str, local_hostname: str, timeout: float) -> None:
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

    async def shake_hands(self, context: ssl.SSLContext, server_name: str) -> None:
        """Say STARTTLS and, after a 220, shake hands; raises as the library's `starttls` does.

        That one reaches for its protocol behind the handshake, and where the connection has ended
        by then, it has none any more.
        """
        protocol = self._tapped
        if protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Server not connected")
        try:
            await protocol.start_tls(context, server_hostname=server_name, timeout=self.timeout)
        except (aiosmtplib.SMTPServerDisconnected, aiosmtplib.SMTPTimeoutError):
            self.close()
            raise
        if protocol.transport is None:
            raise aiosmtplib.SMTPServerDisconnected("Connection lost") from self._tap.lost_by
        self._tap.note_tls()
        if self._tapped is not None:
            self.transport = protocol.transport
        # What was said in clear counts no more (RFC 3207 section 4.2).
        self._reset_server_state()
