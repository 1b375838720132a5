"""Deleting as SQL, and the number of what was deleted, which nothing else gets again.

Lists of the deleted are handed over as JSON text, so that a statement has one parameter however
long they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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


def deleting(deletion: Deletion) -> Iterator[Statement]:
    """Yield the statements of a deletion; what depends on a message goes before it."""
    for table in _COUNTED:
        yield Statement(_KEEP_NUMBER.format(table=table))
    doomed = (json.dumps(deletion.messages),)
    yield Statement(_SESSIONS, doomed)
    for table in ("bounces", "attempts", "recipients", "contents"):
        yield Statement(_PARTS.format(table=table), doomed)
    yield Statement(_MESSAGES, doomed)
    if deletion.sessions:
        yield Statement(_THESE_SESSIONS, (json.dumps(deletion.sessions),))
    if deletion.unused_sessions:
        yield Statement(_UNUSED_SESSIONS)
