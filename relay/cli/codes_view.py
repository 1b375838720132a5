"""What `relay codes` shows: an explanation with the scenarios that reproduce it, and the books."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from relay.audit.expectations import EXPECTATIONS
from relay.cli.codes_input import Item
from relay.core.code_causes import CAUSES, Cause
from relay.core.code_explain import Clue, Finality, Reason, general_meaning
from relay.core.code_meanings import REPLY_CODES
from relay.core.code_sources import Meaning
from relay.core.codebook import CodeBook
from relay.core.failure_kinds import FailureKind
from relay.core.records import Reading
from relay.core.settings import TlsSetting
from relay.lab.catalogue import SCENARIOS

SHOWN_CAUSES = 3
SHOWN_SCENARIOS = 6
SHOWN_CHARACTERS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Reproduced:
    """A scenario that ends in a cause, and the settings under which a plain message is refused."""

    scenario: str
    settings: tuple[TlsSetting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownCause:
    """A cause with everything that is said of it; `try_it` is the line that shows it, if any."""

    cause: Cause
    meaning: str
    remedy: str
    reasons: tuple[Reason, ...]
    reproduce: tuple[Reproduced, ...]
    try_it: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Emitted:
    """An entry of a code book that has the code: the book, the failure, and the whole text."""

    book: str
    when: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One item as it is shown, and as `--json` has it."""

    given: str
    count: int
    reply: int | None
    enhanced: str | None
    finality: Finality
    reply_meaning: Meaning | None
    enhanced_meaning: Meaning | None
    in_general: str | None
    listed: tuple[Meaning, ...]
    emitted: tuple[Emitted, ...]
    causes: tuple[ShownCause, ...]
    recipient: str | None
    host: str | None
    reading: Reading | None


def shown(item: Item, books: tuple[CodeBook, ...]) -> Shown:
    """Return an item with all that is known of it; texts of `books` alone."""
    about = item.explanation
    known = about.enhanced_meaning is not None or about.enhanced is None
    return Shown(
        given=about.given,
        count=item.count,
        reply=about.reply,
        enhanced=about.enhanced,
        finality=about.finality,
        reply_meaning=about.reply_meaning,
        enhanced_meaning=about.enhanced_meaning,
        in_general=None if known or about.enhanced is None else general_meaning(about.enhanced),
        listed=about.listed,
        emitted=tuple(_emitted(about.reply, about.enhanced, books)),
        causes=tuple(_cause(ranked.cause, ranked.reasons) for ranked in about.causes),
        recipient=item.recipient,
        host=item.host,
        reading=item.reading,
    )


def _emitted(
    reply: int | None, enhanced: str | None, books: tuple[CodeBook, ...]
) -> Iterator[Emitted]:
    if reply is None and enhanced is None:
        return
    for book in books:
        for kind, entry in book.entries.items():
            if reply in {None, entry.status.code} and enhanced in {None, entry.status.enhanced}:
                yield Emitted(book=book.name, when=kind.value, text=str(entry))


def reproduced_by(cause: Cause) -> tuple[Reproduced, ...]:
    """Return the lab's scenarios for a cause, the plainest first."""
    card = CAUSES[cause]
    by_fault = (n for n, s in SCENARIOS.items() if s.faults and s.faults[0] in card.faults)
    found = (
        Reproduced(
            scenario=name,
            settings=tuple(s for s, cell in EXPECTATIONS.get(name, {}).items() if cell.code),
        )
        for name in dict.fromkeys((*card.scenarios, *by_fault))
    )
    # One whose fault another host makes good is refused under no setting.
    return tuple(case for case in found if case.settings or case.scenario in card.scenarios)


def try_it(reproduce: tuple[Reproduced, ...]) -> str | None:
    """Return the line that shows a cause; None where no plain message meets it."""
    case = next((case for case in reproduce if case.settings), None)
    if case is None:
        return None
    recipient = f"anyone@{SCENARIOS[case.scenario].mail_domain}"
    return f"relay send --policy {case.settings[-1].value} {recipient}"


def _cause(cause: Cause, reasons: tuple[Reason, ...]) -> ShownCause:
    reproduce = reproduced_by(cause)
    return ShownCause(
        cause=cause,
        meaning=CAUSES[cause].meaning,
        remedy=CAUSES[cause].remedy,
        reasons=reasons,
        reproduce=reproduce,
        try_it=try_it(reproduce),
    )


_FINALITY = {
    Finality.SUCCESS: "success",
    Finality.INTERMEDIATE: "intermediate: the dialog goes on",
    Finality.TRANSIENT: "transient: the sender may try again; Salesforce does for 24 hours, "
    "and then bounces it with 554 5.4.7",
    Finality.FINAL: "final: the sender must not try again",
    Finality.UNKNOWN: "no code, so it does not say whether it is final",
}
_GAVE_UP = "transient when it was said; the sender has given up since"
_READING = {
    Reading.FAILED: "failed: it is final for this recipient",
    Reading.DELAYED: "delayed: it is still being tried",
    Reading.DELIVERED: "delivered",
}


def item_table(one: Shown) -> Table:
    """Return one item's explanation as a table."""
    table = _grid()
    code = " ".join(str(part) for part in (one.reply, one.enhanced) if part)
    given = one.given
    if len(given) > SHOWN_CHARACTERS:
        given = f"{given[:SHOWN_CHARACTERS]}..."
    if given != code:
        _row(table, "Line", "".join(c if c.isprintable() else ascii(c)[1:-1] for c in given))
    if one.count > 1:
        _row(table, "Times", str(one.count))
    for head, words in (
        ("To", one.recipient),
        ("Host", one.host),
        ("Action", _READING[one.reading] if one.reading else None),
    ):
        if words:
            _row(table, head, words)
    gave_up = one.reading is Reading.FAILED and one.finality is Finality.TRANSIENT
    _row(table, "Kind", _GAVE_UP if gave_up else _FINALITY[one.finality])
    if one.reply:
        _row(table, str(one.reply), _meaning(one.reply_meaning) or "not a code that is known here")
    if one.enhanced:
        unknown = f"not a code that is known here: {one.in_general}"
        _row(table, one.enhanced, _meaning(one.enhanced_meaning) or unknown)
    for text, sources in _grouped(one.listed).items():
        _row(table, "Listed", f"{text} ({'; '.join(sources)})")
    if not any(r.clue is Clue.WORDING for c in one.causes for r in c.reasons):
        for entry in (e for e in one.emitted if e.book == one.emitted[0].book):
            _row(table, "Text", f"{entry.text} ({entry.book}: {entry.when})")
    for number, cause in enumerate(one.causes[:SHOWN_CAUSES], 1):
        _cause_rows(table, number, cause)
    if rest := one.causes[SHOWN_CAUSES:]:
        _row(table, "Or else", ", ".join(cause.cause.value for cause in rest))
    return table


def _grouped(listed: tuple[Meaning, ...]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for meaning in listed:
        found.setdefault(meaning.text, []).append(meaning.source.value)
    return found


def _grid() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _row(table: Table, head: str, words: str, *, bold: bool = True) -> None:
    table.add_row(Text(head, style="bold" if bold else ""), Text(words))


def _meaning(meaning: Meaning | None) -> str:
    return "" if meaning is None else f"{meaning.text} ({meaning.source.value})"


def _cause_rows(table: Table, number: int, cause: ShownCause) -> None:
    _row(table, f"Cause {number}", f"{cause.cause.value}: {cause.meaning}")
    for reason in cause.reasons:
        _row(table, "  because", _because(reason), bold=False)
    _row(table, "  remedy", cause.remedy, bold=False)
    if cause.reproduce:
        names = [f"lab/{case.scenario}" for case in cause.reproduce]
        more = len(names) - SHOWN_SCENARIOS
        words = ", ".join(names[:SHOWN_SCENARIOS]) + (f" and {more} more" if more > 0 else "")
        _row(table, "  lab", words, bold=False)
        _row(table, "  under", settings_words(cause.reproduce), bold=False)
    if cause.try_it is not None:
        _row(table, "  try it", cause.try_it, bold=False)


def settings_words(reproduce: tuple[Reproduced, ...]) -> str:
    """Say under which settings a plain message meets the first scenario that refuses it."""
    settings = next((case.settings for case in reproduce if case.settings), ())
    if not settings:
        return "no setting by itself: it takes a message of the kind"
    if len(settings) == len(TlsSetting):
        return "every setting"
    return ", ".join(setting.label for setting in settings)


def _because(reason: Reason) -> str:
    source = reason.source.value
    match reason.clue:
        case Clue.WORDING:
            return f"it says {reason.found!r} ({source})"
        case Clue.ENHANCED_CODE | Clue.REPLY_CODE:
            return f"{reason.found} is used for it"


def book_table(book: CodeBook) -> Table:
    """Return what a code book says of each failure."""
    table = Table(title=f"Code book {book.name}", title_justify="left", box=None)
    table.add_column("Failure", no_wrap=True)
    table.add_column("Code", no_wrap=True)
    table.add_column("Text", overflow="fold")
    for kind in FailureKind:
        entry = book.entries[kind]
        table.add_row(kind.value, str(entry.status), Text(entry.text))
    return table


def reply_table() -> Table:
    """Return the reply codes and their meanings."""
    table = Table(title="Reply codes of SMTP", title_justify="left", box=None)
    table.add_column("Code", no_wrap=True)
    table.add_column("Meaning", overflow="fold")
    for code, meaning in REPLY_CODES.items():
        table.add_row(str(code), Text(_meaning(meaning)))
    return table
