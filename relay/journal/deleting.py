"""Deleting as SQL, and the number of what was deleted, which nothing else gets again.

Lists of the deleted are handed over as JSON text, so that a statement has one parameter however
long they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from relay.journal.api import Deletion


class Statement(NamedTuple):
    """One statement, which may well change nothing."""

    sql: str
    parameters: tuple[str, ...] = ()


PROBE: Final = Statement(
    "INSERT INTO highest (name, sequence) VALUES ('check', 1) "
    "ON CONFLICT (name) DO UPDATE SET sequence = sequence + 1"
)
"""Changes a row that nobody reads."""

_COUNTED: Final = ("messages", "sessions", "attempts", "bounces")
_KEEP_NUMBER: Final = (
    "INSERT INTO highest (name, sequence) "
    "SELECT '{table}', ifnull(max(sequence), 0) FROM {table} WHERE true "
    "ON CONFLICT (name) DO UPDATE SET sequence = max(sequence, excluded.sequence)"
)
_SESSIONS: Final = """
DELETE FROM sessions WHERE id IN (
    SELECT json_extract(record, '$.session_id') FROM attempts WHERE message IN (
        SELECT sequence FROM messages WHERE id IN (SELECT value FROM json_each(?))
    )
)
"""
_PARTS: Final = """
DELETE FROM {table} WHERE message IN (
    SELECT sequence FROM messages WHERE id IN (SELECT value FROM json_each(?))
)
"""
_MESSAGES: Final = "DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))"
_THESE_SESSIONS: Final = "DELETE FROM sessions WHERE id IN (SELECT value FROM json_each(?))"
_UNUSED_SESSIONS: Final = """
DELETE FROM sessions WHERE id NOT IN (
    SELECT json_extract(record, '$.session_id') FROM attempts
    WHERE json_extract(record, '$.session_id') IS NOT NULL
    UNION SELECT json_extract(record, '$.session_id') FROM messages
    WHERE json_extract(record, '$.session_id') IS NOT NULL
)
"""


FILES: Final = (
    "SELECT b.file FROM bodies b JOIN messages m ON m.sequence = b.message "
    "WHERE m.id IN (SELECT value FROM json_each(?))"
)
"""The files of messages, whose ids are JSON text."""


def doomed(deletions: Sequence[Deletion]) -> str:
    """Return the ids of all messages that are to be deleted, as JSON text."""
    return json.dumps([own for deletion in deletions for own in deletion.messages])


def deleting(deletion: Deletion) -> Iterator[Statement]:
    """Yield the statements of a deletion; what depends on a message goes before it."""
    for table in _COUNTED:
        yield Statement(_KEEP_NUMBER.format(table=table))
    ids = (doomed((deletion,)),)
    yield Statement(_SESSIONS, ids)
    for table in ("bounces", "attempts", "recipients", "contents", "bodies"):
        yield Statement(_PARTS.format(table=table), ids)
    yield Statement(_MESSAGES, ids)
    if deletion.sessions:
        yield Statement(_THESE_SESSIONS, (json.dumps(deletion.sessions),))
    if deletion.unused_sessions:
        yield Statement(_UNUSED_SESSIONS)
