"""The library's protocol and client, with the dialog that they have written down.

This is the only module that knows the library's inside. The transcript is the dialog itself, from
the greeting on; the receive buffer is emptied after each reply, because the library would take what
a host sent too much for the answer to the next command.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, cast

import aiosmtplib
from aiosmtplib.esmtp import parse_esmtp_extensions
from aiosmtplib.protocol import SMTPProtocol
from aiosmtplib.response import SMTPResponse

from relay.core.replies import Reply
from relay.core.transcripts import Direction, TranscriptLog
from relay.outbound.alarm import Alarmed
from relay.outbound.answers import MAX_REPLY_LINE, TROUBLE, Broken, readable, reply_of
from relay.tls.starting import begin_tls

COMPLETED: Final = 250
GO_AHEAD: Final = 220
"""The reply to STARTTLS behind which the handshake begins; also that of a greeting."""


class TappedProtocol(Alarmed, SMTPProtocol):
    """Writes and reads as the library does, and tells the transcript of each command and reply.

    `timeout` counts seconds and bounds each reply for which the library says nothing else. `wire`
    is the last transport that there was.
    """

    def __init__(
        self,
        transcript: TranscriptLog,
        *,
        timeout: float,
        on_lost: Callable[[SMTPProtocol], None],
    ) -> None:
        super().__init__(asyncio.get_running_loop(), on_lost)
        self._transcript = transcript
        self._timeout = timeout
        self._last_command = b""
        self.last_reply: Reply | None = None
        self.ssl_object: ssl.SSLObject | None = None
        self.wire: asyncio.Transport | None = None
        self.plaintext_after_go_ahead = 0
        self.lost = asyncio.Event()
        self.lost_by: Exception | None = None
        """What ended the connection, where something did."""

    def take(self, transport: asyncio.BaseTransport) -> None:
        """Go on with a transport that stands, and with its TLS."""
        # No `isinstance`: uvloop's transports are not of asyncio's classes.
        self.transport = self.wire = cast(asyncio.Transport, transport)
        self.ssl_object = transport.get_extra_info("ssl_object")

    def rest(self) -> None:
        """Wait for nothing any more, and tell the client of nothing.

        It and this hold one another until then, which would leave both to the garbage collector.
        """
        self._connection_lost_callback = None
        self._wait_for_nothing()

    def write(self, data: bytes) -> None:
        self._last_command = data
        super().write(data)
        line = readable(data.removesuffix(b"\r\n"))
        self._transcript.command(Direction.SENT, line, encrypted=self.ssl_object is not None)

    async def read_response(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
    ) -> SMTPResponse:
        self.last_reply = None
        self._wait_until(self._loop.time() + (self._timeout if timeout is None else timeout))
        try:
            # Without a time of its own: `asyncio.wait_for`, which the library waits by, costs more
            # than anything else that it does, and (before Python 3.12) loses a cancellation that
            # comes together with the reply.
            response = await super().read_response()
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

    async def shake_hands(
        self, context: ssl.SSLContext, server_name: str, *, within: float
    ) -> None:
        """Say STARTTLS and, after a 220, shake hands; `within` counts seconds.

        Raises aiosmtplib.SMTPResponseException for another reply, and what `TROUBLE` has.
        """
        response = await self.execute_command(b"STARTTLS", timeout=within)
        if response.code != GO_AHEAD:
            raise aiosmtplib.SMTPResponseException(response.code, response.message)
        if self.transport is None or self.transport.is_closing():
            raise aiosmtplib.SMTPServerDisconnected("Connection lost") from self.lost_by
        assert self.wire is not None
        session = cast(asyncio.Protocol, self)
        self.take(
            await begin_tls(
                self.wire, session, context, server_name=server_name, handshake_seconds=within
            )
        )

    def broken_by(self, error: BaseException) -> Broken:
        """Return what the library raised, with what ended the connection before as its cause."""
        if error.__cause__ is None and self.lost_by is not None:
            error.__cause__ = self.lost_by
        return Broken.by(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_by = exc
        self.lost.set()
        super().connection_lost(exc)
        self.rest()

    def _ring(self) -> None:
        waiter = self._response_waiter
        if waiter is not None and not waiter.done() and self._response_pending:
            late = aiosmtplib.SMTPReadTimeoutError("no reply in time")
            self._set_response_exception(waiter, late)

    def _read_response_from_buffer(self) -> SMTPResponse | None:
        octets = bytes(self._buffer)
        if len(octets) > MAX_REPLY_LINE:
            return super()._read_response_from_buffer()
        response, rest = _first_response(octets)
        self._buffer[:] = rest
        return response

    def _receive(self, reply: Reply) -> None:
        self.last_reply = reply
        self._transcript.reply(
            Direction.RECEIVED, reply.code, reply.text, encrypted=self.ssl_object is not None
        )

    def _take_buffer(self) -> bytes:
        """Empty the library's receive buffer, and return what was in it."""
        octets = bytes(self._buffer)
        del self._buffer[:]
        return octets


class _Reader(SMTPProtocol):
    """The library's reading of responses, without a connection."""

    def __init__(self, octets: bytes) -> None:
        self._buffer = bytearray(octets)


@lru_cache(256)
def _first_response(octets: bytes) -> tuple[SMTPResponse | None, bytes]:
    """Return what the library reads, and what is left; hosts say the same few over and over.

    Raises as the library does.
    """
    reader = _Reader(octets)
    response = reader._read_response_from_buffer()
    return response, bytes(reader._buffer)


@lru_cache(256)
def _extensions_in(message: str) -> Mapping[str, str]:
    """Return the keywords of an EHLO reply in lower case, with their parameters."""
    return MappingProxyType(parse_esmtp_extensions(message)[0])


class TappedSMTP(aiosmtplib.SMTP):
    """The library's client over a `TappedProtocol`; `local_hostname` must be fit for EHLO."""

    def __init__(
        self, transcript: TranscriptLog, *, host: str, local_hostname: str, timeout: float
    ) -> None:
        # Never the library's own STARTTLS: it would go on in clear, or verify, by itself.
        super().__init__(
            hostname=host, local_hostname=local_hostname, timeout=timeout, start_tls=False
        )
        self.tapped: Final = TappedProtocol(
            transcript, timeout=timeout, on_lost=self._on_connection_lost
        )
        self.extensions: Mapping[str, str] = {}
        """What the last EHLO reply has, by keywords in lower case."""
        self._seconds = timeout
        self._name = local_hostname.encode("ascii")

    def _validate_config(self) -> None:
        """Leave out what the library does twice for each session: all of it is checked before."""

    async def _create_connection(
        self,
        timeout: float | None,  # noqa: ASYNC109 - the library's signature
    ) -> SMTPResponse:
        """Do what the library does with a socket that is connected, without its `wait_for`.

        The handshake of an implicit session is bounded by asyncio, the greeting by the protocol.
        """
        assert self.loop is not None
        assert self.sock is not None
        protocol = self.tapped
        try:
            transport, _ = await self.loop.create_connection(
                lambda: protocol,
                sock=self.sock,
                ssl=self.tls_context if self.use_tls else None,
                server_hostname=self.hostname if self.use_tls else None,
                ssl_handshake_timeout=self._seconds if self.use_tls else None,
            )
        except OSError as error:
            raise aiosmtplib.SMTPConnectError("no connection") from error
        protocol.take(transport)
        self.protocol, self.transport = protocol, transport
        response = await protocol.read_response(timeout)
        if response.code != GO_AHEAD:
            raise aiosmtplib.SMTPConnectResponseError(response.code, response.message)
        return response

    async def shake_hands(self, context: ssl.SSLContext, server_name: str) -> None:
        """Say STARTTLS and, after a 220, shake hands; raises as the protocol's does."""
        if self.protocol is None:
            raise aiosmtplib.SMTPServerDisconnected("Server not connected")
        await self.tapped.shake_hands(context, server_name, within=self._seconds)
        self.transport = self.tapped.transport
        # What was said in clear counts no more (RFC 3207 section 4.2).
        self._reset_server_state()
        self.extensions = {}

    async def say_hello(self) -> SMTPResponse:
        """Say EHLO; a 250 fills `extensions`. Raises as the library's `ehlo` does.

        That reads the extensions anew for each session, where hosts have the same ones each time.
        """
        response = await self.execute_command(b"EHLO", self._name)
        if response.code != COMPLETED:
            raise aiosmtplib.SMTPHeloError(response.code, response.message)
        short = len(response.message) <= MAX_REPLY_LINE
        known = _extensions_in if short else _extensions_in.__wrapped__
        self.extensions = known(response.message)
        return response
