"""The connection of a session that stands: commands go out, each reply goes to its own command.

aiosmtplib opens a session and then hands its transport over to this, for two reasons: the library
takes one command at a time (RFC 2920 allows several), and it drops without a word what a host says
unasked, behind which nobody should send another message.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from enum import Enum, unique
from typing import Final

from relay.core.replies import Reply
from relay.outbound.alarm import Alarmed
from relay.outbound.answers import MAX_REPLY_LINE, Answer, Broken, readable, reply_from, reply_in

MAX_REPLY_OCTETS: Final = 4 * MAX_REPLY_LINE
"""Octets of a reply with all its lines."""


@unique
class _Woken(Enum):
    """Why a wait is over."""

    BY_NEWS = "by-news"
    TOO_LATE = "too-late"


class Dialog(Alarmed, asyncio.Protocol):
    """Writes commands and content, and hands out one answer for each command, in order.

    `unasked` counts the octets that came when no reply was owed; they are dropped. After a reply
    that makes no sense nothing more is read: what follows can't be told apart from it.

    `until` is a time of the event loop: TimeoutError is raised where a wait would last longer.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.unasked = 0
        self.until = math.inf
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._buffer = b""
        self._replies: deque[Reply] = deque()
        self._owed = 0
        self._senseless = False
        self._ended = False
        self._lost = False
        self._ended_by: Exception | None = None
        self._waiter: asyncio.Future[_Woken] | None = None
        self._paused = False
        transport.set_protocol(self)

    @property
    def usable(self) -> bool:
        """Whether a command can be sent and its answer be told: connected, and none is owed."""
        in_step = not (self._owed or self._replies or self._senseless)
        return in_step and not self._ended and not self._transport.is_closing()

    @property
    def trusted(self) -> bool:
        """Whether it is usable, and the host has never said anything that it was not asked."""
        return not self.unasked and self.usable

    @property
    def answered(self) -> bool:
        """Whether a reply has come that was not read yet."""
        return bool(self._replies)

    @property
    def flushed(self) -> bool:
        """Whether the network has all that was written."""
        return self._transport.get_write_buffer_size() == 0

    def write(self, octets: bytes | memoryview, *, replies: int) -> Broken | None:
        """Send `octets`, to which so many replies are owed; return why that can't be."""
        if self._ended or self._transport.is_closing():
            return self._broken()
        self._owed += replies
        self._transport.write(octets)
        return None

    async def room(self, within: float) -> Broken | None:
        """Wait until the network takes more, or the host answers; `within` counts seconds."""
        while self._paused and not (self._ended or self._replies):
            if await self._news(within) is _Woken.TOO_LATE:
                return self._too_late()
        return self._broken() if self._ended else None

    async def answer(self, within: float) -> Answer:
        """Return the next reply; `within` counts seconds."""
        while not self._replies:
            if self._ended:
                return self._broken()
            if await self._news(within) is _Woken.TOO_LATE:
                return self._too_late()
        return self._replies.popleft()

    def heard(self) -> Reply | None:
        """Return the next reply where it has come; None where it is to be waited for."""
        return self._replies.popleft() if self._replies else None

    async def gone(self, within: float) -> bool:
        """Wait until the connection is closed; return whether it is, within so many seconds."""
        while not self._lost:
            if await self._news(within) is _Woken.TOO_LATE:
                return False
        return True

    def take_rest(self) -> bytes:
        """Return what came of a reply that has no end, and forget it."""
        rest, self._buffer = self._buffer, b""
        return rest

    def close(self) -> None:
        """Close the connection once all that was written is sent."""
        # Closed twice, a TLS transport of Python 3.11.2 can't be aborted any more.
        if not self._transport.is_closing():
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection at once."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._owed and not self._senseless:
            line, ended, rest = self._buffer.partition(b"\n")
            if ended and (reply := reply_in(line)) is not None:
                self._buffer = rest
            elif (reply := self._next_reply()) is None:
                break
            self._owed -= 1
            self._replies.append(reply)
        if self._buffer and (not self._owed or self._senseless):
            self.unasked += len(self._buffer)
            self._buffer = b""
        if self._replies:
            self._wake(_Woken.BY_NEWS)

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._end(exc)
        self._wait_for_nothing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._wake(_Woken.BY_NEWS)

    def _end(self, error: Exception | None) -> None:
        self._ended = True
        self._ended_by = self._ended_by or error
        self._wake(_Woken.BY_NEWS)

    def _news(self, within: float) -> asyncio.Future[_Woken]:
        """Return what is done when something happens on the connection; `within` counts seconds."""
        self._wait_until(min(self._loop.time() + within, self.until))
        self._waiter = waiter = self._loop.create_future()
        return waiter

    def _ring(self) -> None:
        self._wake(_Woken.TOO_LATE)

    def _too_late(self) -> Broken:
        """Return that the host gave no answer in time; raise where nobody's time is left."""
        error = TimeoutError()
        if self._too_late_at >= self.until:
            raise error
        return Broken.by(error)

    def _wake(self, how: _Woken) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(how)

    def _broken(self) -> Broken:
        error = ConnectionError("the host closed the connection")
        error.__cause__ = self._ended_by
        return Broken.by(error)

    def _next_reply(self) -> Reply | None:
        """Take a reply of any number of lines out of the buffer; None where there is none yet."""
        buffer = self._buffer
        texts: list[bytes] = []
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            code = buffer[start : start + 3]
            too_long = end - start > MAX_REPLY_LINE or end > MAX_REPLY_OCTETS
            # Of a line that is too short, the line feed is among them.
            if too_long or not code.isdigit():
                return self._nonsense(end)
            text = buffer[start + 4 : end].strip(b" \t\r")
            if buffer[start + 3 : start + 4] != b"-":
                self._buffer = buffer[end + 1 :]
                texts.append(text)
                return reply_from(int(code), b"\n".join(texts))
            texts.append(text)
            start = end + 1
        return self._nonsense(len(buffer)) if len(buffer) > MAX_REPLY_OCTETS else None

    def _nonsense(self, end: int) -> Reply:
        self._senseless = True
        text = readable(self._buffer[:end]).strip()
        self._buffer = self._buffer[end:]
        return Reply(code=-1, text=text)
