"""A report, delivered as the user asked: a table here, JSON, or files for CI and for an auditor."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import console, fail, print_json

if TYPE_CHECKING:
    from rich.console import Console

    from relay.core.jsonform import Json
    from relay.formats.report import Mark, Report, Section

ReportJsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
JunitOption = Annotated[
    Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML, for CI.")
]
HtmlOption = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="Also write one self-contained HTML page."),
]


def deliver(
    report: Report,
    result: Json,
    *,
    as_json: bool,
    junit: Path | None,
    html: Path | None,
    show: Callable[[], None] | None = None,
) -> None:
    """Write the files that were asked for, then print the result as JSON or as tables.

    `show` prints it instead of the tables, for what reads better otherwise.
    """
    from relay.formats.report import to_html, to_junit

    for path, render in ((junit, to_junit), (html, to_html)):
        if path is not None:
            try:
                path.write_text(render(report), encoding="utf-8")
            except OSError as error:
                fail(f"can't write {path}: {error.strerror}")
    if as_json:
        print_json(result)
    elif show is not None:
        show()
    else:
        print_report(report)


def print_report(report: Report) -> None:
    """Print a report to be read in a terminal of 80 columns."""
    from rich.table import Table
    from rich.text import Text

    out = console()
    out.print(Text(report.title, style="bold"))
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in report.facts:
        facts.add_row(name, Text(value))
    out.print(facts)
    for section in report.sections:
        out.print()
        out.print(Text(section.title, style="bold"))
        _print_section(out, section)
    for note in report.notes:
        out.print()
        out.print(Text(note))
    out.print()
    out.print(Text(report.summary, style=_style(report.mark)))


def _print_section(out: Console, section: Section) -> None:
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from relay.formats.report import Mark

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for at, column in enumerate(section.columns):
        table.add_column(column, no_wrap=at == 0, overflow="fold")
    for row in section.rows:
        cells = (Text(cell.text, style=_style(cell.mark)) for cell in row.cells)
        table.add_row(Text(row.name), *cells)
    out.print(table)
    telling = {Mark.BAD, Mark.UNKNOWN, Mark.WARNING}
    told = [row for row in section.rows if row.because and row.mark in telling]
    # What dozens of rows have in common, such as a relay that is not there, is said once.
    for _, alike in groupby(told, key=lambda r: r.name if r.mark is Mark.BAD else r.because):
        rows = list(alike)
        names = ", ".join(row.name for row in rows)
        out.print(Text.assemble("\n", (names, _style(rows[0].mark)), ": ", rows[0].because))
        for line in rows[0].evidence if rows[0].mark is Mark.BAD else ():
            out.print(Padding(Text(line, style="dim"), (0, 0, 0, 2)))


def _style(mark: Mark) -> str:
    return {
        "good": "green",
        "warning": "yellow",
        "bad": "bold red",
        "unknown": "magenta",
        "plain": "none",
    }[mark.value]
