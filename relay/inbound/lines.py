"""What a client has sent and nobody has read yet: lines and octets, bounded."""

from __future__ import annotations

import asyncio
from typing import Final

_HIGH_WATER: Final = 262_144
_ENDLESS: Final = 16_777_216
"""Octets of one line after which its end is not waited for any more."""


class LineTooLong(Exception):  # noqa: N818
    """A line beyond its limit; it was read to its end and dropped."""


class EndlessLine(LineTooLong):
    """A line of which more and more comes, and no end."""


class Interrupted(Exception):  # noqa: N818
    """The listener is closing and no command is to be read any more."""


class ClientInput:
    """A buffer between a transport and one reader.

    The transport is paused while much is unread. `ended` says that the client sends nothing more;
    what it had sent in full before is still read first. `interrupted` says that no command is to be
    read any more; content goes on, to end a message begun.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._dropped = 0
        self._paused: asyncio.ReadTransport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self.interrupted = False

    def feed(self, octets: bytes, transport: asyncio.ReadTransport) -> None:
        """Add what came in over `transport`."""
        self._buffer += octets
        if len(self._buffer) > _HIGH_WATER and self._paused is None:
            transport.pause_reading()
            self._paused = transport
        if self._waiter is not None:
            self._wake()

    def end(self) -> None:
        """Note that nothing more comes."""
        self.ended = True
        self._wake()

    def interrupt(self) -> None:
        """Let `line` raise Interrupted from now on."""
        self.interrupted = True
        self._wake()

    @property
    def unread(self) -> int:
        """Octets that are there."""
        return len(self._buffer)

    def discard(self) -> int:
        """Drop what is unread and return how many octets it was."""
        return len(self.some())

    def next_line(self, limit: int) -> bytes | None:
        """Return the next line with its LF, of `limit` octets at most; None until it is there.

        Raises LineTooLong at the end of a longer one, of which nothing is kept meanwhile, and
        EndlessLine, from then on, where that end doesn't come.
        """
        if not self._buffer:
            return None
        end = self._buffer.find(b"\n", self._searched) + 1
        if not end:
            if len(self._buffer) > limit:
                self._dropped += self.discard()
                if self._dropped > _ENDLESS:
                    raise EndlessLine
            self._searched = len(self._buffer)
            return None
        line = bytes(self._buffer[:end])
        del self._buffer[:end]
        self._searched = 0
        if self._paused is not None:
            self._resume()
        if self._dropped or end > limit:
            self._dropped = 0
            raise LineTooLong
        return line

    def some(self) -> bytearray:
        """Return whatever is there."""
        octets, self._buffer = self._buffer, bytearray()
        self._searched = 0
        if self._paused is not None:
            self._resume()
        return octets

    def give_back(self, octets: bytes) -> None:
        """Put octets back in front of those that are unread."""
        self._buffer[:0] = octets

    async def line(self, limit: int) -> bytes:
        """Return the next line as `next_line` does, as soon as it is there.

        Raises Interrupted, and EOFError where the input ends first.
        """
        while True:
            if self.interrupted:
                raise Interrupted
            line = self.next_line(limit)
            if line is not None:
                return line
            if self.ended:
                raise EOFError
            await self._more()

    async def _more(self) -> None:
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
