"""A search of Mailpit's kind as SQL: fixed conditions, and values as parameters alone. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, assert_never

from relay.journal.codec import to_microseconds
from relay.journal.keys import storable
from relay.web.mailpit_search import Bound, Contains, Limit, Part, Term, Trait

_ADDRESSED: Final = ("sender", "recipients", "cc", "bcc", "reply_to")
_COLUMNS: Final = {
    Part.FROM: ("sender",),
    Part.TO: ("recipients",),
    Part.CC: ("cc",),
    Part.BCC: ("bcc",),
    Part.REPLY_TO: ("reply_to",),
    Part.ADDRESSED: _ADDRESSED,
    Part.SUBJECT: ("subject",),
    Part.MESSAGE_ID: ("message_id",),
    Part.ANYWHERE: ("words",),
}
_TAGGED: Final = "EXISTS (SELECT 1 FROM tags WHERE mail = id{more})"
_TRAITS: Final = {
    Trait.READ: "read = 1",
    Trait.UNREAD: "read = 0",
    Trait.TAGGED: _TAGGED.format(more=""),
    Trait.ATTACHMENT: "attachments > 0",
    Trait.INLINE: "inline > 0",
}
_LIMITS: Final = {
    Bound.BEFORE: "created <= ?",
    Bound.AFTER: "created >= ?",
    Bound.LARGER: "size > ?",
    Bound.SMALLER: "size < ?",
}
_MAX: Final = 2**63 - 1
"""The largest number of SQLite."""


def where_of(terms: Sequence[Term]) -> tuple[str, list[str | int]]:
    """Return SQL made of fixed conditions, and the values for its parameters."""
    conditions, values = ["true"], []
    for term in terms:
        condition, its_values = _condition(term.condition)
        conditions.append(f"NOT ({condition})" if term.negated else f"({condition})")
        values += its_values
    return " AND ".join(conditions), values


def asks_content(term: Term) -> bool:
    """Whether only somebody who has read a message can tell."""
    match term.condition:
        case Contains(part, _):
            return part is not Part.TAG
        case Trait():
            return term.condition in {Trait.ATTACHMENT, Trait.INLINE}
        case Limit():
            return False
        case _:
            assert_never(term.condition)


def _condition(condition: Contains | Trait | Limit) -> tuple[str, list[str | int]]:
    match condition:
        case Contains(Part.TAG, text):
            return _TAGGED.format(more=" AND tag = ?"), [storable(text)]
        case Contains(part, text):
            columns = _COLUMNS[part]
            return (
                " OR ".join(f"instr({column}, ?)" for column in columns),
                [storable(text)] * len(columns),
            )
        case Trait():
            return _TRAITS[condition], []
        case Limit(bound, value):
            number = to_microseconds(value) if isinstance(value, datetime) else value
            return _LIMITS[bound], [min(number, _MAX)]
        case _:
            assert_never(condition)
