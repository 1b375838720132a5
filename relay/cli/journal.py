"""`relay journal`: the journal itself. Is it sound, how big is it, and taking it elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Final, TypeVar

import typer

from relay.cli.console import ExitCode, console, fail, print_json
from relay.cli.progress import Update, progress_bar
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.journal.checking import Soundness

app = typer.Typer(
    name="journal", no_args_is_help=True, help="The journal itself: check, export, import."
)

SHOWN: Final = 20
"""Problems that are printed one by one."""
_STEP: Final = 1000
"""Lines between two moves of a bar."""
_Line = TypeVar("_Line", str, bytes)


@app.command("check")
def check(
    *,
    state: StateOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was found as JSON.")] = False,
) -> None:
    """Check the file, its references, every record and every body.

    Also beside a running relay. Exit code 0: the journal is sound. 1: it is damaged. 3: it could
    not be opened.
    """
    from relay.core.jsonform import to_json
    from relay.journal.checking import check_journal

    path = StateDir.of(state).journal
    with (
        _errors(path),
        progress_bar(console(stderr=True), "checking", total=None, hidden=as_json) as update,
    ):
        found = check_journal(path, lambda records: update(advance=records))
    if as_json:
        print_json(to_json(found))
    else:
        _tell(found, path)
    if found.damages:
        raise typer.Exit(ExitCode.FINDING)


def _tell(found: Soundness, path: Path) -> None:
    from rich.markup import escape

    out = console()
    held = (
        f"{found.messages} messages ({_size(found.octets)}), {found.sessions} sessions, "
        f"{found.attempts} attempts, {found.bounces} bounces"
    )
    if found.left_over:
        out.print(
            f"{len(found.left_over)} files of bodies belong to no message: a crash left them, "
            "and the next start removes them."
        )
    if not found.damages:
        out.print(f"The journal is sound: {held}.")
        return
    out.print(f"The journal is DAMAGED: {len(found.damages)} problems in {held}.")
    for damage in found.damages[:SHOWN]:
        out.print(escape(f"  {damage.where}: {damage.what}"))
    if (more := len(found.damages) - SHOWN) > 0:
        out.print(f"  and {more} more; --json has them all")
    out.print(f"Keep a copy of {escape(str(path))} before you do anything else.")


@app.command("vacuum")
def vacuum(*, state: StateOption = None) -> None:
    """Give the room of deleted mail back to the disk.

    Not while a relay has the journal. A relay uses such room again by itself. This needs as much
    again as the journal has, for a time.
    """
    from relay.journal.transfer import vacuum

    path = StateDir.of(state).journal
    with _errors(path):
        before, after = vacuum(path)
    typer.echo(f"{_size(before)} before, {_size(after)} after")


@app.command("export")
def export(
    *,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file, once all is read."),
    ] = None,
    state: StateOption = None,
) -> None:
    """Export all records and bodies as JSON lines.

    Also beside a running relay. The file has everybody's mail in it, and only its owner may read
    it.
    """
    from relay.journal.transfer import export_lines

    path = StateDir.of(state).journal
    # A bar between the lines of a terminal could not be read.
    hidden = output is None and sys.stdout.isatty()
    with (
        _errors(path),
        _target(output) as out,
        progress_bar(console(stderr=True), "exporting", total=None, hidden=hidden) as update,
    ):
        count = 0
        for line in _told(export_lines(path), update):
            out.write(f"{line}\n".encode("ascii"))
            count += 1
    if output is not None:
        typer.echo(f"{count - 2} records in {output}")


@app.command("import")
def import_journal(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `relay journal export` wrote.")
    ],
    *,
    with_queue: Annotated[
        bool,
        typer.Option(
            "--with-queue", help="Import mail that is still queued, to be sent from here."
        ),
    ] = False,
    state: StateOption = None,
) -> None:
    """Import an export into a journal: all of it, or nothing.

    The journal is made if need be. Not while a relay has that journal. Bad lines are all told, and
    nothing is imported then.
    """
    from relay.journal.api import JournalError, JournalLocked
    from relay.journal.transfer import import_batches
    from relay.journal.transfer_reading import batches, look_at

    path = StateDir.of(state).journal
    err = console(stderr=True)
    try:
        with (
            file.open("rb") as lines,
            progress_bar(err, "reading the export", total=None) as update,
        ):
            found = look_at(_told(lines, update))
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
    if found.problems:
        for problem in found.problems[:SHOWN]:
            typer.echo(f"{file}:{problem.line}:{problem.column}: {problem.message}", err=True)
        count = len(found.problems)
        fail(
            f"nothing was imported: {count} problem{'s' if count > 1 else ''}",
            hint="Export it again with `relay journal export`.",
        )
    if found.queued and not with_queue:
        fail(
            f"nothing was imported: {found.queued} recipients are still queued in this file",
            hint="A relay here would send to them too; --with-queue if the other one does not.",
        )
    total = sum(found.counts.values()) + 2
    with (
        _errors(path),
        file.open("rb") as lines,
        progress_bar(err, "importing", total=total) as update,
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            import_batches(path, batches(_told(lines, update)))
        except JournalLocked:
            raise
        except JournalError as error:
            fail(f"nothing was imported: {error}", code=ExitCode.UNDETERMINED)
    told = ", ".join(
        f"{count} {kind}{'' if count == 1 else 's'}" for kind, count in found.counts.items()
    )
    typer.echo(f"imported: {told}")


def _told(lines: Iterable[_Line], update: Update) -> Iterator[_Line]:
    """Yield lines, and tell now and then how many there were."""
    for number, line in enumerate(lines, 1):
        yield line
        if not number % _STEP:
            update(advance=_STEP)


def _size(octets: int) -> str:
    for unit, of in (("MiB", 1 << 20), ("KiB", 1 << 10)):
        if octets >= of:
            return f"{octets / of:.1f} {unit}"
    return f"{octets} octets"


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    """Hand out where to write; a file gets its name when all of it is on disk."""
    if output is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    from relay.journal.whole_files import whole_file

    try:
        with whole_file(output, mode=0o600) as out:
            yield out
    except OSError as error:
        fail(f"{output}: {error.strerror or error}", hint="Name a file that can be written.")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    from relay.journal.api import JournalError, JournalLocked, NoJournal

    try:
        yield
    except NoJournal:
        fail(
            f"there is no journal yet at {path}",
            hint="Start one with `relay serve`.",
            code=ExitCode.UNDETERMINED,
        )
    except JournalLocked as error:
        fail(
            str(error),
            hint="Stop that relay first, or choose another state directory with --state.",
            code=ExitCode.UNDETERMINED,
        )
    except JournalError as error:
        fail(str(error), code=ExitCode.UNDETERMINED)
    except BrokenPipeError:
        # It is the reader of the output that has gone, not the journal.
        raise
    except OSError as error:
        fail(f"{path.parent}: {error.strerror or error}", code=ExitCode.UNDETERMINED)
