"""`relay codes`: what a code means, what emits it here, and how to see it happen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import typer

from relay.cli.console import ExitCode, console, fail, print_json

_REPLY = re.compile(r"(?<![\d.])([2-5]\d\d)(?![\d.])")
_ENHANCED = re.compile(r"(?<![\d.])([245])\.(\d{1,3})\.(\d{1,3})(?![\d.])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An entry of a code book that has the code: the book, the failure, and the whole text."""

    book: str
    when: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A scenario that ends in the code, and the settings under which it does."""

    scenario: str
    settings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """What is known of a code; the meanings are None where nothing is."""

    reply: int | None
    enhanced: str | None
    kind: str
    reply_meaning: str | None
    enhanced_meaning: str | None
    emitted: tuple[Emitted, ...]
    reproduce: tuple[Reproduced, ...]


def codes(
    *,
    code: Annotated[
        list[str],
        typer.Argument(metavar="CODE...", help="451, 4.7.5, '451 4.7.5', or a line with it."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """Explain a code: its meaning, whether it is final, and the scenarios that reproduce it.

    Exits 3 where no code is found in what was given, or none that is known.
    """
    text = " ".join(code)
    reply, enhanced = _REPLY.search(text), _ENHANCED.search(text)
    if reply is None and enhanced is None:
        fail(
            f"no code in {text!r}",
            hint="Give one such as: relay codes 451 4.7.5",
            code=ExitCode.UNDETERMINED,
        )
    found = _explain(int(reply[1]) if reply else None, enhanced[0] if enhanced else None)
    if json:
        from relay.core.jsonform import to_json

        print_json(to_json(found))
    else:
        _print(found)
    known = found.reply_meaning or found.enhanced_meaning
    raise typer.Exit(ExitCode.AS_EXPECTED if known else ExitCode.UNDETERMINED)


def _explain(reply: int | None, enhanced: str | None) -> Explained:
    from relay.core.code_meanings import ENHANCED_CODES, REPLY_CODES, SPECIAL
    from relay.core.codebook_data import CODE_BOOKS

    detail = enhanced.partition(".")[2] if enhanced else ""
    digit = str(reply)[0] if reply else (enhanced or "")[:1]
    return Explained(
        reply=reply,
        enhanced=enhanced,
        kind={"2": "success", "3": "intermediate", "4": "transient", "5": "permanent"}[digit],
        reply_meaning=REPLY_CODES.get(reply) if reply else None,
        enhanced_meaning=SPECIAL.get(enhanced or "") or ENHANCED_CODES.get(detail),
        emitted=tuple(
            Emitted(book=book.name, when=kind.value, text=str(entry))
            for book in CODE_BOOKS.values()
            for kind, entry in book.entries.items()
            if reply in {None, entry.status.code} and enhanced in {None, entry.status.enhanced}
        ),
        reproduce=tuple(_reproduce(reply, enhanced)),
    )


def _reproduce(reply: int | None, enhanced: str | None) -> Iterator[Reproduced]:
    from relay.audit.expectations import EXPECTATIONS
    from relay.core.replies import StatusCode

    for scenario, row in EXPECTATIONS.items():
        refused = {s: StatusCode.parse(e.code) for s, e in row.items() if e.code}
        settings = tuple(
            setting.label
            for setting, status in refused.items()
            if reply in {None, status.code} and enhanced in {None, status.enhanced}
        )
        if settings:
            yield Reproduced(scenario=scenario, settings=settings)


_KIND = {
    "success": "success",
    "intermediate": "intermediate: the dialog goes on",
    "transient": "transient: the sender may try again",
    "permanent": "permanent: the sender must not try again",
}


def _print(found: Explained) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")

    def row(head: str, words: str) -> None:
        table.add_row(Text(head, style="bold"), Text(words))

    unknown = "not a code that is known here"
    if found.reply:
        row(str(found.reply), found.reply_meaning or unknown)
    if found.enhanced:
        row(found.enhanced, found.enhanced_meaning or unknown)
    row("Kind", _KIND[found.kind])
    for entry in found.emitted:
        row("Emitted", f"{entry.text} ({entry.book}: {entry.when})")
    for case in found.reproduce:
        row("Seen with", f"lab/{case.scenario} under {', '.join(case.settings)}")
    if found.reproduce:
        row("Try it", f"relay send anyone@{found.reproduce[0].scenario}.lab.test")
    console().print(table)
