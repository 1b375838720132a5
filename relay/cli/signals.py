"""What signals ask of a running `relay serve`: to stop, or to read its policy again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Iterator
from enum import Enum, unique
from typing import Final


@unique
class Request(Enum):
    """What a signal asks for."""

    STOP = "stop"
    RELOAD = "reload"


HANGUP: Final[int | None] = getattr(signal, "SIGHUP", None)
"""The signal that asks for a reload; None where the system has none (Windows)."""


class Requests:
    """The requests that signals brought and nobody has taken yet, in their order."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Request] = asyncio.Queue()
        self._had_terminal = _has_terminal()

    async def next(self) -> Request:
        """Wait for a request and take it."""
        return await self._waiting.get()

    def stop(self) -> None:
        """Ask for a stop; from then on a second signal ends the process at once."""
        self._waiting.put_nowait(Request.STOP)
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):
                self._loop.remove_signal_handler(number)

    def hang_up(self) -> None:
        """Ask for a reload, or for a stop where the signal came because the terminal was closed."""
        if self._had_terminal and not _has_terminal():
            self.stop()
        else:
            self._waiting.put_nowait(Request.RELOAD)


@contextlib.contextmanager
def requests() -> Iterator[Requests]:
    """Take signals as requests; must be entered in a running event loop of the main thread."""
    loop = asyncio.get_running_loop()
    taken = Requests()
    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, taken.stop)
        except NotImplementedError:
            # Windows: the interpreter's own handler raises KeyboardInterrupt instead.
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(taken.stop))
    if HANGUP is not None:
        loop.add_signal_handler(HANGUP, taken.hang_up)
    try:
        yield taken
    finally:
        for used in (signal.SIGINT, signal.SIGTERM, HANGUP):
            if used is not None:
                with contextlib.suppress(NotImplementedError):
                    loop.remove_signal_handler(used)


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True
