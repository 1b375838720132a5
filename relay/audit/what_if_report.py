"""What would change, as a report that a security team can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final, assert_never

from relay.audit.forecast import Dropped, Forecast, Passes, Queued, Refused, Unknown
from relay.audit.what_if import Change, Row, WhatIf
from relay.core.bounces import explain_failure
from relay.core.rejudging import Unseen
from relay.core.settings import Protection
from relay.formats.report import Cell, Mark, Report, ReportRow, Section

_TITLES: Final[Mapping[Change, str]] = MappingProxyType(
    {
        Change.NEW_BOUNCE: "Would stop being delivered to",
        Change.NEWLY_DROPPED: "Would be dropped without a word",
        Change.UNKNOWN: "Not known",
        Change.LESS_PROTECTED: "Would be protected less",
        Change.STILL_REFUSED: "Not delivered to now, and not then",
        Change.DELIVERED_AGAIN: "Would be delivered to again",
        Change.BETTER_PROTECTED: "Would be protected better",
        Change.NEWLY_KNOWN: "Would be let through; what happens now is not known",
        Change.SAME: "No change",
    }
)
_MARKS: Final[Mapping[Change, Mark]] = MappingProxyType(
    {
        Change.NEW_BOUNCE: Mark.BAD,
        Change.NEWLY_DROPPED: Mark.BAD,
        Change.UNKNOWN: Mark.UNKNOWN,
        Change.LESS_PROTECTED: Mark.WARNING,
        Change.STILL_REFUSED: Mark.PLAIN,
        Change.DELIVERED_AGAIN: Mark.GOOD,
        Change.BETTER_PROTECTED: Mark.GOOD,
        Change.NEWLY_KNOWN: Mark.PLAIN,
        Change.SAME: Mark.PLAIN,
    }
)
_LEARNT: Final[Mapping[Unseen, str]] = MappingProxyType(
    {
        Unseen.DOMAIN: "its hosts, and their TLS",
        Unseen.HOSTS: "which hosts the domain has",
        Unseen.HOST: "this host's TLS",
        Unseen.HANDSHAKE: "how its handshake ends, and its certificate",
        Unseen.TLS_VERSION: "how its handshake ends in these versions",
        Unseen.BEHIND_VERIFICATION: "how its handshake ends when nothing is verified",
        Unseen.CERTIFICATE: "its certificate",
        Unseen.CLEAR_SESSION: "nothing: it tries TLS, as the session on record did",
        Unseen.RENEWAL: "its certificate of now",
    }
)
"""What a probe would learn."""


def what_if_report(
    result: WhatIf, *, facts: Sequence[tuple[str, str]] = (), notes: Sequence[str] = ()
) -> Report:
    """Return the report; `facts` say what it is made of."""
    sections = [
        Section(
            title=f"{title} ({len(rows)})",
            columns=("destination", "messages", "now", "then"),
            rows=tuple(_row(row) for row in rows),
        )
        for change, title in _TITLES.items()
        if (rows := [row for row in result.rows if row.change is change])
    ]
    return Report(
        title="What would change",
        summary=summary(result),
        mark=_mark(result),
        facts=(("now", result.now.source), ("then", result.then.source), *facts),
        sections=tuple(sections),
        notes=tuple(notes),
    )


def summary(result: WhatIf) -> str:
    """Answer in a sentence or two, by domains."""
    counts = result.counts
    total = sum(counts.values())
    if not total:
        return "Nothing was asked about, and nothing is on record."
    parts: list[str] = []
    if stopped := counts[Change.NEW_BOUNCE]:
        messages = _messages(result, Change.NEW_BOUNCE)
        parts.append(f"{stopped} would stop being delivered to ({messages})")
    if dropped := counts[Change.NEWLY_DROPPED]:
        messages = _messages(result, Change.NEWLY_DROPPED)
        parts.append(f"mail to {dropped} would be dropped ({messages})")
    for change, words in (
        (Change.UNKNOWN, "not known"),
        (Change.LESS_PROTECTED, "protected less"),
        (Change.STILL_REFUSED, "not delivered to either way"),
        (Change.DELIVERED_AGAIN, "delivered to again"),
    ):
        if count := counts[change]:
            parts.append(f"{count} {'is' if count == 1 else 'are'} {words}")
    of = f"Of {total} domain{'' if total == 1 else 's'}, "
    if not parts:
        return f"{of}none would stop being delivered to, and all are known."
    if not counts[Change.NEW_BOUNCE]:
        parts.insert(0, "none would stop being delivered to")
    return f"{of}{', '.join(parts)}."


def in_words(told: Forecast) -> str:
    """Say what becomes of mail, in a few words."""
    match told:
        case Passes(protection=protection):
            return {
                Protection.CLEAR: "clear text",
                Protection.ENCRYPTED: "encrypted",
                Protection.VERIFIED: "verified",
            }[protection]
        case Refused(entry=entry):
            return str(entry.status)
        case Dropped():
            return "dropped"
        case Unknown():
            return "unknown"
        case _:
            assert_never(told)


def fate(told: Refused) -> str:
    """Say how a refusal goes on: at once and for good, or for how long it is tried again."""
    match told.queued:
        case None:
            return f"{told.entry.status}, at once"
        case Queued(retries=retries, within=within, end=end):
            times = "once" if retries == 1 else f"{retries} times"
            again = f"again {times} within {_duration(within)}"
            return f"{told.entry.status} now and {again}, then {end.status}"


def _duration(length: timedelta) -> str:
    seconds = length.total_seconds()
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _row(row: Row) -> ReportRow:
    asked = row.asked
    name = asked.recipient or asked.domain
    if asked.sender is not None:
        name = f"{name} from {asked.sender}"
    return ReportRow(
        name=name,
        mark=_MARKS[row.change],
        cells=(
            Cell(text=str(asked.messages)),
            Cell(text=in_words(row.now)),
            Cell(text=in_words(row.then), mark=_MARKS[row.change]),
        ),
        because=_because(row),
        evidence=_evidence(row),
    )


def _because(row: Row) -> str:
    match row.then:
        case Refused(failure=failure) as then:
            words = explain_failure(failure)
            return f"{words.cause} Mail is refused: {fate(then)}. {words.remedy}"
        case Dropped():
            return "The policy drops mail to this domain, and it reads as sent."
        case Unknown(what=what, hop=hop, route=route):
            where = f"{hop}: " if hop else f"Its mail goes to {route} then; " if route else ""
            return f"{where}{what.meaning}. A probe would learn {_LEARNT[what]}."
        case Passes(hop=hop, delivered=delivered):
            asked_for = row.asked.recipient is not None
            if row.change is Change.LESS_PROTECTED:
                return f"{hop} gets it in {in_words(row.then)} then, {in_words(row.now)} now."
            unsaid = "" if delivered or not asked_for else "; its own answer then is not on record"
            return f"{hop} gets it{unsaid}."
        case _:
            assert_never(row.then)


def _evidence(row: Row) -> tuple[str, ...]:
    if not isinstance(row.then, Refused):
        return ()
    host = (f"host: {row.then.hop}",) if row.then.hop else ()
    return (*host, f"reported as: {row.then.entry}")


def _messages(result: WhatIf, change: Change) -> str:
    count = sum(row.asked.messages for row in result.rows if row.change is change)
    return f"{count} message{'' if count == 1 else 's'} on record"


def _mark(result: WhatIf) -> Mark:
    if result.counts[Change.NEW_BOUNCE] or result.counts[Change.NEWLY_DROPPED]:
        return Mark.BAD
    if result.counts[Change.UNKNOWN] or not sum(result.counts.values()):
        return Mark.UNKNOWN
    return Mark.WARNING if result.counts[Change.LESS_PROTECTED] else Mark.GOOD
