"""What a client has sent and nobody has read yet: lines and octets, bounded."""

from __future__ import annotations

import asyncio
from typing import Final

_HIGH_WATER: Final = 262_144


class LineTooLong(Exception):  # noqa: N818
    """A line beyond its limit; it was read to its end and dropped."""


class Interrupted(Exception):  # noqa: N818
    """The listener is closing and no command is to be read any more."""


class ClientInput:
    """A buffer between a transport and one reading coroutine.

    The transport is paused while much is unread. `EOFError` means that the client sends nothing
    more; what it had sent in full before is still read first.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._paused: asyncio.ReadTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._interrupted = False

    def feed(self, octets: bytes, transport: asyncio.ReadTransport) -> None:
        """Add what came in over `transport`."""
        self._buffer += octets
        if len(self._buffer) > _HIGH_WATER and self._paused is None:
            transport.pause_reading()
            self._paused = transport
        self._wake()

    def end(self) -> None:
        """Note that nothing more comes."""
        self._ended = True
        self._wake()

    def interrupt(self) -> None:
        """Let `line` raise Interrupted from now on; `some` goes on, to end a message begun."""
        self._interrupted = True
        self._wake()

    def discard(self) -> int:
        """Drop what is unread and return how many octets it was."""
        count = len(self._buffer)
        self._buffer.clear()
        self._resume()
        return count

    async def line(self, limit: int) -> bytes:
        """Return the next line with its LF, of `limit` octets at most."""
        searched = 0
        too_long = False
        while True:
            if self._interrupted:
                raise Interrupted
            end = self._buffer.find(b"\n", searched) + 1
            if end:
                line = bytes(self._buffer[:end])
                del self._buffer[:end]
                self._resume()
                if too_long or end > limit:
                    raise LineTooLong
                return line
            searched = len(self._buffer)
            if searched > limit:
                too_long = True
                self.discard()
                searched = 0
            await self._more()

    async def some(self) -> bytes:
        """Return whatever is there, at least one octet."""
        while not self._buffer:
            await self._more()
        octets = bytes(self._buffer)
        self.discard()
        return octets

    def give_back(self, octets: bytes) -> None:
        """Put octets back in front of those that are unread."""
        self._buffer[:0] = octets

    async def _more(self) -> None:
        if self._ended:
            raise EOFError
        assert self._waiter is None, "one coroutine reads"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _resume(self) -> None:
        if self._paused is not None and len(self._buffer) <= _HIGH_WATER // 2:
            paused, self._paused = self._paused, None
            paused.resume_reading()
