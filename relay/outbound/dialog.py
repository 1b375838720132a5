"""The connection of a session that stands: commands go out, each reply goes to its own command.

aiosmtplib opens a session and then hands its transport over to this, for two reasons: the library
takes one command at a time (RFC 2920 allows several), and it drops without a word what a host says
unasked, behind which nobody should send another message.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from relay.core.replies import Reply
from relay.outbound.answers import Answer, Broken, readable, reply_of

MAX_REPLY_LINE: Final = 8192
"""Octets of one line of a reply; RFC 5321 section 4.5.3.1.5 asks for 512."""
MAX_REPLY_OCTETS: Final = 4 * MAX_REPLY_LINE
"""Octets of a reply with all its lines."""


class Dialog(asyncio.Protocol):
    """Writes commands and content, and hands out one answer for each command, in order.

    `unasked` counts the octets that came when no reply was owed; they are dropped. After a reply
    that makes no sense nothing more is read: what follows can't be told apart from it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.unasked = 0
        self.lost = asyncio.Event()
        self._transport = transport
        self._buffer = bytearray()
        self._replies: deque[Reply] = deque()
        self._owed = 0
        self._senseless = False
        self._ended = False
        self._ended_by: Exception | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._paused = False
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether a command can be sent and its answer be told: connected, and none is owed."""
        in_step = not (self._owed or self._replies or self._senseless)
        return in_step and not self._ended and not self._transport.is_closing()

    @property
    def answered(self) -> bool:
        """Whether a reply has come that was not read yet."""
        return bool(self._replies)

    @property
    def flushed(self) -> bool:
        """Whether the network has all that was written."""
        return self._transport.get_write_buffer_size() == 0

    def write(self, octets: bytes, *, replies: int) -> Broken | None:
        """Send `octets`, to which so many replies are owed; return why that can't be."""
        if self._ended or self._transport.is_closing():
            return self._broken()
        self._owed += replies
        self._transport.write(octets)
        return None

    async def room(self, within: float) -> Broken | None:
        """Wait until the network takes more; `within` counts seconds."""
        if self._paused and not self._ended:
            self._writer = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within):
                    await self._writer
            except TimeoutError as error:
                return Broken.by(error)
            finally:
                self._writer = None
        return self._broken() if self._ended else None

    async def answer(self, within: float) -> Answer:
        """Return the next reply; `within` counts seconds."""
        if not self._replies:
            if self._ended:
                return self._broken()
            self._reader = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(within):
                    await self._reader
            except TimeoutError as error:
                return Broken.by(error)
            finally:
                self._reader = None
        return self._replies.popleft() if self._replies else self._broken()

    def take_rest(self) -> bytes:
        """Return what came of a reply that has no end, and forget it."""
        rest = bytes(self._buffer)
        del self._buffer[:]
        return rest

    def close(self) -> None:
        """Close the connection once all that was written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._owed or self._senseless:
            self.unasked += len(data)
            return
        self._buffer += data
        while self._owed and (reply := self._next_reply()) is not None:
            self._owed -= 1
            self._replies.append(reply)
        if self._buffer and (not self._owed or self._senseless):
            self.unasked += len(self._buffer)
            del self._buffer[:]
        if self._replies:
            _wake(self._reader)

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        self.lost.set()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        _wake(self._writer)

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        self._ended_by = self._ended_by or error
        _wake(self._reader)
        _wake(self._writer)

    def _broken(self) -> Broken:
        error = ConnectionError("the host closed the connection")
        error.__cause__ = self._ended_by
        return Broken.by(error)

    def _next_reply(self) -> Reply | None:
        """Take a whole reply out of the buffer; None where there is none yet."""
        texts: list[bytes] = []
        start = 0
        while (end := self._buffer.find(b"\n", start)) >= 0:
            line = bytes(self._buffer[start:end])
            code = line[:3]
            too_long = len(line) > MAX_REPLY_LINE or end > MAX_REPLY_OCTETS
            if too_long or not (len(code) == 3 and code.isdigit()):
                return self._nonsense(end)
            texts.append(line[4:].strip(b" \t\r"))
            start = end + 1
            if line[3:4] != b"-":
                del self._buffer[:start]
                return reply_of(int(code), b"\n".join(texts).decode("utf-8", "surrogateescape"))
        too_long = len(self._buffer) > MAX_REPLY_OCTETS
        return self._nonsense(len(self._buffer)) if too_long else None

    def _nonsense(self, end: int) -> Reply:
        self._senseless = True
        text = readable(bytes(self._buffer[:end])).strip()
        del self._buffer[:end]
        return Reply(code=-1, text=text)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
