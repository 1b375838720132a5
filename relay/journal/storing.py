"""Rows into tables: few statements for many rows, inside whatever transaction is open.

Each statement lets go of the interpreter and has to get it back from a busy event loop, so that
their number counts for more than their size.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Final

from relay.journal.api import JournalError
from relay.journal.deleting import FILES
from relay.journal.rows import Rows

_Value = str | bytes | int | None

_ROWS_AT_ONCE: Final = 16
"""Rows of one statement at most; SQLite's smallest bound of parameters is 999."""
_REMEMBERED: Final = 4096
"""Messages whose numbers are known without a look."""

_COLUMNS: Final = {
    "messages": ("sequence", "id", "message_id_header", "record"),
    "contents": ("message", "content"),
    "bodies": ("message", "file"),
    "recipients": ("message", "position", "address", "domain", "state", "next_at"),
    "sessions": ("sequence", "id", "record"),
    "attempts": ("sequence", "id", "message", "record"),
    "bounces": (*("sequence", "id", "message", "address", "domain", "code", "enhanced", "record"),),
}
_HIGHEST: Final = (
    "SELECT max(ifnull((SELECT max(sequence) FROM {table}), 0), "
    "ifnull((SELECT sequence FROM highest WHERE name = '{table}'), 0))"
)
"""The highest number that any record of a table ever had."""
_UPDATE: Final = "UPDATE recipients SET state = ?, next_at = ? WHERE message = ? AND address = ?"


class Store:
    """Stores rows by a connection that nobody else writes by; it remembers numbers given before.

    `path` is the journal's, for errors.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._execute = connection.execute
        self._path = path
        self._last: dict[str, int] = {}
        self._messages: dict[str, int] = {}

    def forget(self) -> None:
        """Look numbers up again: something was taken back, or deleted."""
        self._last.clear()
        self._messages.clear()

    def store(self, parts: Sequence[Rows]) -> list[str]:
        """Store parts as if one after the other; those that delete stand alone.

        Returns the names of the files that no row will name when this is committed; those of new
        bodies have to be there before.

        Raises JournalError where a row concerns what the journal does not have, and what sqlite3
        raises, ValueError and OverflowError included. Some of it is stored then.
        """
        if any(rows.messages for rows in parts):
            self._store_messages(parts)
        sessions = [row for rows in parts for row in rows.sessions]
        numbers = self._numbers("sessions", len(sessions))
        self._insert("sessions", [(n, *row) for n, row in zip(numbers, sessions, strict=True)])
        attempts = [row for rows in parts for row in rows.attempts]
        numbers = self._numbers("attempts", len(attempts))
        self._insert(
            "attempts",
            [
                (n, row.id, self._message(row.message), row.record)
                for n, row in zip(numbers, attempts, strict=True)
            ],
        )
        bounces = [row for rows in parts for row in rows.bounces]
        numbers = self._numbers("bounces", len(bounces))
        self._insert(
            "bounces",
            [
                (n, row.id, self._message(row.message), *row[2:])
                for n, row in zip(numbers, bounces, strict=True)
            ],
        )
        for rows in parts:
            for address, state, next_at, message in [
                (row.address, row.state, row.next_at, row.message) for row in rows.updates
            ]:
                number = self._message(message)
                if not self._execute(_UPDATE, (state, next_at, number, address)).rowcount:
                    raise self._lacks(f"recipient {address!r} of message {message}")
        freed: list[str] = []
        for rows in parts:
            if rows.deleted:
                freed += [name for (name,) in self._execute(FILES, (rows.deleted,))]
            for statement in rows.statements:
                self._execute(statement.sql, statement.parameters)
        return freed

    def _store_messages(self, parts: Sequence[Rows]) -> None:
        messages = [row for rows in parts for row in rows.messages]
        numbers = self._numbers("messages", len(messages))
        numbered = list(zip(numbers, messages, strict=True))
        self._insert("messages", [(n, row.id, row.header, row.record) for n, row in numbered])
        self._insert("contents", [(n, row.content) for n, row in numbered if row.file is None])
        self._insert("bodies", [(n, row.file) for n, row in numbered if row.file is not None])
        self._insert(
            "recipients",
            [
                (n, position, address, domain, row.state, row.next_at)
                for n, row in numbered
                for position, (address, domain) in enumerate(row.recipients)
            ],
        )
        if len(self._messages) > _REMEMBERED:
            self._messages.clear()
        self._messages.update((row.id, n) for n, row in numbered)

    def _message(self, message_id: str) -> int:
        number = self._messages.get(message_id)
        if number is None:
            found = self._execute("SELECT sequence FROM messages WHERE id = ?", (message_id,))
            row = found.fetchone()
            if row is None:
                raise self._lacks(f"message {message_id}")
            number = int(row[0])
        return number

    def _numbers(self, table: str, count: int) -> range:
        """Return the next `count` sequence numbers of a table, which no record ever had."""
        if not count:
            return range(0)
        last = self._last.get(table)
        if last is None:
            (last,) = self._execute(_HIGHEST.format(table=table)).fetchone()
        self._last[table] = last + count
        return range(last + 1, last + count + 1)

    def _insert(self, table: str, rows: Sequence[tuple[_Value, ...]]) -> None:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            self._execute(_inserting(table, len(some)), [value for row in some for value in row])

    def _lacks(self, what: str) -> JournalError:
        return JournalError(f"the journal has no {what}: {self._path}")


@cache
def _inserting(table: str, rows: int) -> str:
    columns = _COLUMNS[table]
    one = f"({', '.join('?' * len(columns))})"
    values = ", ".join([one] * rows)
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {values}"  # noqa: S608 - of the table above
