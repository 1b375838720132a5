"""Standard output and error of every command: closed, full, or in an encoding that lacks much."""

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


@contextlib.contextmanager
def standard_streams() -> Iterator[None]:
    """Run a command whose output can't fail it with a traceback.

    A stream that was closed takes everything and shows nothing; a character that its encoding lacks
    is written as an escape. Output that can't be written ends the command with one line.
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
    except OSError as error:
        if error.errno not in _FULL or error.filename is not None:
            raise
        _end(os.strerror(error.errno))


def _end(why: str) -> NoReturn:
    # What Python still holds would fail its exit as well.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    with contextlib.suppress(OSError):
        sys.stderr.write(f"relay: the output can't be written: {why}\n")
    sys.exit(ExitCode.UNDETERMINED)
