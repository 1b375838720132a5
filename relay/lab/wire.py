"""A server's side of an SMTP connection: lines, replies, message data, STARTTLS.

TLS runs over memory buffers by hand. asyncio's own TLS server closes the connection before the
alert of a failed handshake has left, so that a client sees a reset where a real host would tell
it "protocol version". Here the alert is sent, and the connection lingers until the client has it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final

from relay.core.replies import Reply
from relay.core.transcripts import Direction, TranscriptLog
from relay.lab.overheard import Keep, Overheard
from relay.lab.received import Octets
from relay.lab.tls_layer import HandshakeError, NeedsOctets, TlsBrokenError, TlsLayer

MAX_COMMAND: Final = 4096
"""Octets of a command line; RFC 5321 section 4.5.3.1.4 asks for 512, its extensions for more."""

_CHUNK: Final = 65536
_LINGER: Final = 1.0
_RECORD_HEADER: Final = 5
_HANDSHAKE_RECORD: Final = 22
_END_OF_DATA: Final = b"\r\n.\r\n"


class ConnectionEnded(Exception):  # noqa: N818 - the regular end of a session, not an error
    """The client closed the connection, or broke it."""


class ClientSilent(ConnectionEnded):
    """The client neither wrote nor read for too long."""


class LineTooLong(Exception):  # noqa: N818
    """The client sent a command line longer than `MAX_COMMAND`."""


class SmtpWire:
    """One accepted connection. Reading raises ConnectionEnded when the client has gone."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        log: TranscriptLog,
        overheard: Keep,
        octets: Octets,
        idle_seconds: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._log = log
        self._octets = octets
        self._idle_seconds = idle_seconds
        self._buffer = bytearray()
        self._tls: TlsLayer | None = None
        self._keep = overheard
        self._overheard = Overheard(log, overheard, encrypted=False)
        self._said_goodbye = False

    @property
    def encrypted(self) -> bool:
        """Whether TLS protects what is read and written now."""
        return self._tls is not None

    @property
    def tls_version(self) -> str | None:
        """OpenSSL's name of the protocol version, None in clear text."""
        return self._tls.version if self._tls else None

    @property
    def cipher(self) -> str | None:
        """The name of the cipher suite, None in clear text."""
        return self._tls.cipher if self._tls else None

    async def read_command(self) -> bytes:
        """Return the next line with its line end, as it came; raise LineTooLong."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_COMMAND:
                raise LineTooLong
            self._buffer += await self._receive()
        if end >= MAX_COMMAND:
            raise LineTooLong
        line = bytes(self._buffer[: end + 1])
        del self._buffer[: end + 1]
        return line

    async def read_data(self, limit: int) -> bytes | None:
        """Return a message without its dot-stuffing (RFC 5321 section 4.5.2).

        Only CRLF . CRLF ends it. A message of more than `limit` octets is read to its end and
        forgotten: None is returned in its place.
        """
        # The line break before the first line belongs to the command; with it, an empty
        # message and a leading dot need no rule of their own.
        data = bytearray(b"\r\n")
        too_long = False
        while True:
            search_from = max(0, len(data) - len(_END_OF_DATA) + 1)
            data += self._buffer
            self._octets.data += len(self._buffer)
            self._buffer.clear()
            end = data.find(_END_OF_DATA, search_from)
            if end >= 0:
                rest = data[end + len(_END_OF_DATA) :]
                self._octets.data -= len(rest)
                self._buffer += rest
                content = bytes(data[: end + 2]).replace(b"\r\n.", b"\r\n")[2:]
                return None if too_long or len(content) > limit else content
            if len(data) > limit + _CHUNK:
                too_long = True
                del data[: -len(_END_OF_DATA)]
            self._buffer += await self._receive()

    async def send(self, reply: Reply, *, followed_by: bytes = b"") -> None:
        """Send a reply, line by line of its text, and `followed_by` in the same write."""
        self._log.reply(Direction.SENT, reply.code, reply.text, encrypted=self.encrypted)
        *first, last = reply.text.split("\n")
        lines = [f"{reply.code}-{part}\r\n" for part in first] + [f"{reply.code} {last}\r\n"]
        await self._send("".join(lines).encode() + followed_by)

    async def send_octets(self, octets: bytes) -> None:
        """Send octets that are no reply."""
        self._log.note(f"sent {len(octets)} octets that are no proper reply")
        await self._send(octets)

    async def start_tls(self, tls: TlsLayer, *, seconds_per_octet: float = 0.0) -> None:
        """Take part in a handshake as the server; raise HandshakeError, its alert being sent.

        What came in clear text ahead of it is not obeyed (RFC 3207 section 6), but counted, and
        noted with what comes in its place.
        """
        self._discard_unread()
        while True:
            try:
                tls.handshake()
                break
            except NeedsOctets:
                await self._flush(tls, seconds_per_octet)
                if not await self._feed(tls):
                    raise HandshakeError("the client closed the connection") from None
            except HandshakeError:
                with suppress(ConnectionEnded):
                    await self._flush(tls)
                await self.linger()
                raise
        self._tls = tls
        await self._flush(tls, seconds_per_octet)

    async def read_client_hello(self) -> None:
        """Read one whole TLS record, so that a close that follows is no reset.

        What is none is read as far as it has come.
        """
        self._discard_unread()
        record = bytearray()
        try:
            while not record or (
                record[0] == _HANDSHAKE_RECORD
                and len(record) < _RECORD_HEADER + int.from_bytes(record[3:5], "big")
            ):
                record += await self._receive()
        finally:
            self._overheard.feed(record)

    async def ignore(self) -> None:
        """Read until the client leaves, or says nothing for too long; answer nothing."""
        heard = self._listener()
        try:
            with suppress(ConnectionEnded):
                while True:
                    heard.feed(await self._receive())
        finally:
            heard.end()

    async def linger(self) -> None:
        """Let the client read our last words: closing with unread input would reset them away.

        What it goes on to say all the same is noted.
        """
        self._said_goodbye = True
        with suppress(OSError, TimeoutError, ConnectionEnded):
            if self._writer.can_write_eof():
                self._writer.write_eof()
            async with asyncio.timeout(_LINGER):
                while True:
                    self._overheard.feed(await self._receive_raw())

    async def close(self) -> None:
        """Close in order: a TLS closure alert where TLS stands, then the connection.

        What the client had said by then, or says in clear text as it learns of the end, is noted.
        """
        heard = self._listener()
        if self._tls is None:
            if not self._said_goodbye and not self._writer.is_closing():
                await self.linger()
        else:
            with suppress(NeedsOctets, TlsBrokenError):
                while True:
                    heard.feed(self._tls.read())
            with suppress(ConnectionEnded):
                self._tls.close()
                await self._flush(self._tls)
        heard.end()
        self._writer.close()
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(_LINGER):
                await self._writer.wait_closed()

    def reset(self) -> None:
        """Close at once by a TCP reset."""
        sock: socket.socket = self._writer.get_extra_info("socket")
        with suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.abort()

    def abort(self) -> None:
        """Close at once, whatever is unsent."""
        self._writer.transport.abort()

    async def _send(self, octets: bytes) -> None:
        if self._tls is None:
            await self._send_raw(octets)
            return
        try:
            self._tls.write(octets)
        except TlsBrokenError as error:
            raise ConnectionEnded from error
        await self._flush(self._tls)

    async def _receive(self) -> bytes:
        """Return some octets of the client's, decrypted where TLS stands."""
        if self._tls is None:
            return await self._receive_raw()
        while True:
            try:
                return self._tls.read()
            except NeedsOctets:
                await self._flush(self._tls)
                if not await self._feed(self._tls):
                    raise ConnectionEnded from None
            except TlsBrokenError as error:
                with suppress(ConnectionEnded):
                    await self._flush(self._tls)
                raise ConnectionEnded(str(error)) from error

    def _listener(self) -> Overheard:
        """Return what notes all that is said from now on, told of what was said and not read."""
        heard = (
            self._overheard
            if self._tls is None
            else Overheard(self._log, self._keep, encrypted=True)
        )
        heard.feed(self._buffer)
        self._buffer.clear()
        return heard

    def _discard_unread(self) -> None:
        self._octets.discarded += len(self._buffer)
        self._overheard.feed(self._buffer)
        self._buffer.clear()

    async def _receive_raw(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_seconds):
                data = await self._reader.read(_CHUNK)
        except TimeoutError:
            raise ClientSilent from None
        except OSError as error:
            raise ConnectionEnded from error
        if not data:
            raise ConnectionEnded
        self._octets.received += len(data)
        return data

    async def _send_raw(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._idle_seconds):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            raise ClientSilent from None
        except OSError as error:
            raise ConnectionEnded from error

    async def _feed(self, tls: TlsLayer) -> bool:
        """Give TLS some octets of the client's; return False when there are no more."""
        try:
            octets = await self._receive_raw()
            if self._tls is None:
                self._overheard.feed(octets)
            tls.feed(octets)
        except ClientSilent:
            raise
        except ConnectionEnded:
            tls.feed_eof()
            return False
        return True

    async def _flush(self, tls: TlsLayer, seconds_per_octet: float = 0.0) -> None:
        """Send what TLS has to say, octet by octet where that is to take its time."""
        octets = tls.take()
        if not seconds_per_octet:
            if octets:
                await self._send_raw(octets)
            return
        for position in range(len(octets)):
            await self._send_raw(octets[position : position + 1])
            await asyncio.sleep(seconds_per_octet)
