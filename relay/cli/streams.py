"""Standard output and error of every command: closed, full, read no more, or lacking characters."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NoReturn

from relay.cli.console import ExitCode

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
"""Why a redirection takes no more."""
READER_GONE: Final = 128 + 13
"""What a shell says of a filter that SIGPIPE ended, as `cat` and `grep` are: 141."""


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Run a command whose output can't fail it with a traceback.

    A stream that was closed takes everything and shows nothing; a character that its encoding lacks
    is written as an escape. Output that can't be written ends the command with one line. A reader
    that has seen enough, as in `relay codes | head -1`, ends it without a word and with 141.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except SystemExit as ended:
        # Both libraries that write for us turn a broken pipe into the exit code of a finding.
        if not isinstance(ended.__context__, BrokenPipeError):
            raise
        _end_quietly()
    except (OSError, ExceptionGroup) as error:
        match _first(error):
            case BrokenPipeError():
                _end_quietly()
            case OSError(errno=number, filename=None) if number in _FULL:
                _end(os.strerror(number))
            case _:
                raise


def _first(error: Exception) -> Exception:
    """Return the error itself, or the first one of the tasks that it ended together."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


def _end_quietly() -> NoReturn:
    _discard(1, 2)
    sys.exit(READER_GONE)


def _end(why: str) -> NoReturn:
    _discard(1)
    with contextlib.suppress(OSError):
        sys.stderr.write(f"relay: the output can't be written: {why}\n")
    sys.exit(ExitCode.UNDETERMINED)


def _discard(*descriptors: int) -> None:
    # What Python still holds would fail its exit as well.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in descriptors:
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
