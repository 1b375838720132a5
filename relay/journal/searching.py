"""What messages are searched by, and the condition in SQL that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, unique
from typing import Final

from relay.core.settings import Protection
from relay.journal.api import RecipientState
from relay.journal.keys import domain_key, storable
from relay.journal.sqlite_reader import code_parts


@unique
class OutcomeKind(Enum):
    """How a try ended for a recipient."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@unique
class HandshakeKind(Enum):
    """How a session's TLS handshake ended, as `relay.core.evidence` names it."""

    NOT_TRIED = "not-tried"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages are wanted: those that every given mark applies to.

    `recipient`, `domain` and `state` are of one and the same recipient. `code` is a bounce's, in
    the forms of `JournalReader.bounces`. `outcome` and `protection` are of any try. `text` is
    looked for in the subject and in all addresses, without regard to the case of ASCII letters.
    `until` is left out of the time.
    """

    recipient: str | None = None
    domain: str | None = None
    state: RecipientState | None = None
    code: str | None = None
    outcome: OutcomeKind | None = None
    protection: Protection | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


ALL: Final = MessageFilter()


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest:
    """The end of a list: at most `limit` messages, below the sequence number `below`."""

    limit: int
    below: int


def condition_of(
    wanted: MessageFilter, newest: Newest | None = None
) -> tuple[str, list[str | int]]:
    """Return a condition on `messages m`, and the values of its parameters.

    Where an index answers all that is wanted, the condition holds for the `newest` alone, so that
    no more than a list's worth of it is read. ValueError where `code` is none.
    """
    found = _by_index(wanted)
    conditions: list[str] = ["true"]
    values: list[str | int] = []
    only = len(found) == 1 and not (wanted.text or wanted.outcome or wanted.protection)
    for column, rows, its_values in found:
        values += its_values
        if newest is not None and only:
            rows += f" AND {column} < ? ORDER BY {column} DESC LIMIT ?"  # noqa: PLW2901
            values += [newest.below, newest.limit]
        conditions.append(f"m.sequence IN (SELECT DISTINCT {column} FROM {rows})")  # noqa: S608
    more, its_values = _by_reading(wanted)
    return " AND ".join(conditions + more), values + its_values


def _by_index(wanted: MessageFilter) -> list[tuple[str, str, list[str | int]]]:
    """Return for each index that helps: the column of the message, the rows, and the values."""
    found: list[tuple[str, str, list[str | int]]] = []
    one: list[str] = []
    values: list[str | int] = []
    if wanted.domain is not None:
        one.append("r.domain = ?")
        values.append(domain_key(wanted.domain))
    if wanted.recipient is not None:
        one.append("r.address = ? COLLATE NOCASE")
        values.append(storable(wanted.recipient))
    if wanted.state is not None:
        one.append("r.state = ?")
        values.append(wanted.state.value)
    if one:
        found.append(("r.message", f"recipients r WHERE {' AND '.join(one)}", values))
    if wanted.code is not None:
        same: list[str] = []
        values = []
        for column, part in zip(("b.code", "b.enhanced"), code_parts(wanted.code), strict=True):
            if part is not None:
                same.append(f"{column} = ?")
                values.append(part)
        found.append(("b.message", f"bounces b WHERE {' AND '.join(same)}", values))
    times = [
        (f"json_extract(t.record, '$.received_at') {sign} ?", moment.astimezone(UTC).isoformat())
        for sign, moment in ((">=", wanted.since), ("<", wanted.until))
        if moment is not None
    ]
    if times:
        # The plus keeps SQLite from walking through the sequence numbers instead of the times.
        both = " AND ".join(condition for condition, _ in times)
        found.append(("+t.sequence", f"messages t WHERE {both}", [text for _, text in times]))
    return found


def _by_reading(wanted: MessageFilter) -> tuple[list[str], list[str | int]]:
    """Return the conditions that are judged message by message, the newest first."""
    conditions: list[str] = []
    values: list[str | int] = []
    for path, mark in (
        ("$.outcome.kind", wanted.outcome),
        ("$.outcome.protection", wanted.protection),
    ):
        if mark is not None:
            # Most attempts are passed over without their JSON being read.
            conditions.append(
                "EXISTS (SELECT 1 FROM attempts a, json_each(a.record, '$.outcomes') o "
                "WHERE a.message = m.sequence AND instr(a.record, ?) "
                "AND json_extract(o.value, ?) = ?)"
            )
            values += [f'"{mark.value}"', path, mark.value]
    if wanted.text:
        text = storable(wanted.text).translate(_LOWER)
        if text.isascii() and text.isprintable() and not set(text) & _ESCAPED:
            # A record has its addresses and its subject; most are passed over as they stand.
            conditions.append("instr(lower(m.record), ?)")
            values.append(text)
        # instr() has no wildcards that a user's text would have to be freed from.
        conditions.append(
            "(instr(lower(ifnull(json_extract(m.record, '$.subject'), '')), ?) "
            "OR instr(lower(json_extract(m.record, '$.reverse_path')), ?) "
            "OR EXISTS (SELECT 1 FROM recipients r WHERE r.message = m.sequence "
            "AND instr(lower(r.address), ?)))"
        )
        values += [text] * 3
    return conditions, values


_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""SQLite's lower(), which knows ASCII alone."""
_ESCAPED: Final = frozenset('"\\/')
"""Printable characters of ASCII that JSON writes, or may write, in another way."""
