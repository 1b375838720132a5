"""`relay log`: the e-mail log, as Salesforce's Setup page gives it out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from relay.cli.console import console, fail
from relay.cli.moments import FORMS, moment
from relay.cli.progress import progress_bar
from relay.cli.reading import reading
from relay.cli.state import StateOption

if TYPE_CHECKING:
    from datetime import datetime

    from relay.formats.email_log import LogRow
    from relay.journal.api import JournalReader, MessageRecord

app = typer.Typer(name="log", no_args_is_help=True, help="The e-mail log, as Salesforce has it.")

PAGE = 200
"""Messages read at a time; the log of any number of messages needs no more memory."""


@app.command("export")
def export(
    *,
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help=f"Events from then on: {FORMS}")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="WHEN", help="Events before then.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write to a file, once all is read."),
    ] = None,
    state: StateOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, instead of CSV.")
    ] = False,
) -> None:
    """Export the events of every recipient as CSV.

    They are: received (R), delivered (D), failed (T, P). Times are GMT, rows in the order of time.
    docs/email-log.md explains the columns.
    """
    begin, end = moment(since, "--since"), moment(until, "--until")
    if begin and end and begin >= end:
        fail(
            f"--since {since} is not before --until {until}",
            hint="A log begins at --since and ends before --until.",
        )
    with reading(state, hint="`relay messages list` shows what there is.") as journal:
        from relay.formats.email_log_order import in_order

        # A bar between the rows of a terminal could not be read.
        hidden = as_json or (output is None and sys.stdout.isatty())
        found = in_order(_records(journal, begin, hidden=hidden), since=begin, until=end)
        with _target(output) as out:
            count = _write(out, found, as_json=as_json)
    if output is not None:
        typer.echo(f"{count} rows in {output}", err=True)
    elif not count:
        typer.echo("No events in that time; `relay messages list` shows what there is.", err=True)


def _records(
    journal: JournalReader, since: datetime | None, *, hidden: bool
) -> Iterator[MessageRecord]:
    """Yield all messages of which anything happened since, and maybe others; tell how far it is."""
    total = None if since else journal.counts().messages
    with progress_bar(
        console(stderr=True), "reading the journal", total=total, hidden=hidden
    ) as update:
        after = None
        while page := journal.records(PAGE, after=after, since=since, events=True):
            yield from page
            update(advance=len(page))
            after = page[-1].envelope.id


def _write(out: TextIO, found: Iterator[LogRow], *, as_json: bool) -> int:
    import json

    from relay.core.jsonform import to_json
    from relay.formats.email_log import write_csv, write_header

    count = 0
    if not as_json:
        write_header(out)
    for row in found:
        if as_json:
            out.write(f"{json.dumps(to_json(row))}\n")
        else:
            write_csv(out, (row,))
        count += 1
    return count


@contextmanager
def _target(output: Path | None) -> Iterator[TextIO]:
    if output is None:
        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(newline="", errors="backslashreplace")
        yield sys.stdout
        return
    from relay.journal.whole_files import whole_file

    try:
        with whole_file(output) as file:
            out = TextIOWrapper(file, newline="", encoding="utf-8", errors="backslashreplace")
            yield out
            out.detach()
    except OSError as error:
        fail(f"{output}: {error.strerror or error}", hint="Name a file that can be written.")
