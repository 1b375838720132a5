"""What every command shares: exit codes, errors that say what to do next, tables, JSON."""

from __future__ import annotations

import errno
import json
import os
import re
import sys
from enum import IntEnum, unique
from typing import TYPE_CHECKING, Final, NoReturn

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from relay.core.jsonform import Json

_OBEYED: Final = re.compile(r"[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls, line separators, writing directions and lone surrogates, which JSON leaves as is."""


@unique
class ExitCode(IntEnum):
    """What a command's exit code tells a script."""

    AS_EXPECTED = 0
    FINDING = 1
    USAGE = 2
    UNDETERMINED = 3


def console(*, stderr: bool = False) -> Console:
    """Return a console: colours on a terminal alone, else 80 columns and no padding."""
    stream = sys.stderr if stderr else sys.stdout
    if stream.isatty():
        from rich.console import Console

        return Console(file=stream, highlight=False, soft_wrap=False, markup=True)
    from relay.cli.plain_console import PlainConsole

    return PlainConsole(file=stream, width=80, highlight=False, soft_wrap=False, markup=True)


def print_json(data: Json) -> None:
    """Print one JSON document; what a terminal would obey instead of show is escaped in it."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    typer.echo(_OBEYED.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def counted(number: int, what: str) -> str:
    """Return a number with its noun, in the plural where that is due."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def say(line: str, *, err: bool = False) -> None:
    """Write a line for whoever watches a relay that serves.

    Nobody watching any more, or a full disk behind a redirection, is no reason to stop serving, and
    neither is a character that the stream's encoding lacks.
    """
    stream = sys.stderr if err else sys.stdout
    try:
        try:
            stream.write(f"{line}\n")
        except UnicodeEncodeError as error:
            known = line.encode(error.encoding, "backslashreplace").decode(error.encoding)
            stream.write(f"{known}\n")
        stream.flush()
    except OSError as error:
        if error.errno in {errno.EPIPE, errno.EIO}:
            # The reader is gone for good; what Python still holds would fail its exit as well.
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def fail(what: str, *, hint: str | None = None, code: ExitCode = ExitCode.USAGE) -> NoReturn:
    """End the command with one clear line on standard error, and one that says what to do next."""
    typer.echo(f"relay: {what}", err=True)
    if hint:
        typer.echo(f"  {hint}", err=True)
    raise typer.Exit(code)
