"""Queries of one state of the journal, and records put together from many rows at once."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Sequence
from operator import itemgetter
from typing import Any, Final, Literal, TypeVar

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.api import (
    MessageRecord,
    MessageSummary,
    NotFound,
    RecipientState,
    RecipientStatus,
)
from relay.journal.codec import decode, from_microseconds
from relay.journal.keys import storable

LATEST: Final = "latest"
"""Names the newest record in place of an id."""

_R = TypeVar("_R", Attempt, Bounce)
_Table = Literal["messages", "sessions", "attempts", "bounces"]


class Query:
    """Runs a query and returns all its rows."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __call__(self, sql: str, *parameters: str | int) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, parameters).fetchall()


def resolve(query: Query, table: _Table, record_id: str) -> int:
    """Return the sequence number of the record that an id names."""
    kind = table.removesuffix("s")
    if record_id == LATEST:
        ((sequence,),) = query(f"SELECT max(sequence) FROM {table}")  # noqa: S608 - a literal
        if sequence is None:
            raise NotFound(f"the journal has no {kind} yet")
        return int(sequence)
    beginning = storable(record_id.strip())
    rows = query(
        f"SELECT sequence, id FROM {table} WHERE id >= ? AND id < ? ORDER BY id LIMIT 2",  # noqa: S608 - a literal
        beginning,
        f"{beginning}\U0010ffff",
    )
    if not beginning or not rows:
        raise NotFound(f"the journal has no {kind} {record_id!r}")
    if len(rows) > 1 and rows[0][1] != beginning:
        raise NotFound(f"several ids begin with {record_id!r}; give more of the {kind}'s id")
    return int(rows[0][0])


def end_of_list(query: Query, table: _Table, before: str | None) -> int:
    """Return the sequence number that a list stays below."""
    return 2**63 - 1 if before is None else resolve(query, table, before)


def statuses_of(query: Query, sequences: Collection[int]) -> dict[int, tuple[RecipientStatus, ...]]:
    """Return where the recipients of messages stand, in the order of each envelope."""
    return {sequence: tuple(found) for sequence, found in _statuses(query, sequences).items()}


def summaries(query: Query, rows: Sequence[tuple[int, str]]) -> tuple[MessageSummary, ...]:
    """Return a list's entries by their rows: sequence and envelope."""
    statuses = statuses_of(query, [sequence for sequence, _ in rows])
    return tuple(
        MessageSummary(envelope=decode(Envelope, text), recipients=statuses[sequence])
        for sequence, text in rows
    )


def whole_records(
    query: Query, rows: Sequence[tuple[int, str]], *, sessions: bool = True
) -> tuple[MessageRecord, ...]:
    """Return messages with all that is known of them, by their rows: sequence and envelope.

    As many queries are made for many messages as for one. Sorting is left to Python: SQLite would
    make a table for it, even for one message.
    """
    envelopes = {sequence: decode(Envelope, text) for sequence, text in rows}
    statuses = _statuses(query, envelopes)
    attempts = records_of(query, Attempt, envelopes)
    bounces = records_of(query, Bounce, envelopes)
    used = {
        sequence: {envelope.session_id, *(a.session_id for a in attempts[sequence])}
        for sequence, envelope in envelopes.items()
    }
    found = _sessions(query, {own for ids in used.values() for own in ids} if sessions else ())
    return tuple(
        MessageRecord(
            envelope=envelope,
            recipients=tuple(statuses[sequence]),
            attempts=tuple(attempts[sequence]),
            sessions=tuple(
                session
                for _, session in sorted(
                    (found[own] for own in used[sequence] if own in found), key=itemgetter(0)
                )
            ),
            bounces=tuple(bounces[sequence]),
        )
        for sequence, envelope in envelopes.items()
    )


def _statuses(query: Query, sequences: Collection[int]) -> dict[int, list[RecipientStatus]]:
    found: dict[int, list[RecipientStatus]] = {sequence: [] for sequence in sequences}
    rows = query(
        "SELECT message, position, address, state, next_at FROM recipients "
        "WHERE message IN (SELECT value FROM json_each(?))",
        json.dumps([*sequences]),
    )
    for message, _, address, state, next_at in sorted(rows):
        status = RecipientStatus(
            recipient=address,
            state=RecipientState(state),
            next_at=None if next_at is None else from_microseconds(next_at),
        )
        found[message].append(status)
    return found


def records_of(query: Query, kind: type[_R], sequences: Collection[int]) -> dict[int, list[_R]]:
    """Return the attempts or bounces of messages, oldest first."""
    table = "attempts" if kind is Attempt else "bounces"
    found: dict[int, list[_R]] = {sequence: [] for sequence in sequences}
    rows = query(
        f"SELECT sequence, message, record FROM {table} "  # noqa: S608 - a literal
        "WHERE message IN (SELECT value FROM json_each(?))",
        json.dumps([*sequences]),
    )
    for _, message, record in sorted(rows):
        found[message].append(decode(kind, record))
    return found


def _sessions(query: Query, ids: Collection[str | None]) -> dict[str | None, tuple[int, Session]]:
    """Return the sessions that are on record of these, by id, each with its sequence number."""
    rows = query(
        "SELECT sequence, id, record FROM sessions WHERE id IN (SELECT value FROM json_each(?))",
        json.dumps([own for own in ids if own is not None]),
    )
    return {own: (sequence, decode(Session, record)) for sequence, own, record in rows}
