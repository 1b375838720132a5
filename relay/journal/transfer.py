"""A journal as a file of JSON lines, bodies included, and back.

    {"kind": "journal", "format": 1}                                     the first line
    {"kind": "message", "states": [...], "content": BASE64, "record": {...}}
    {"kind": "session" | "attempt" | "bounce", "record": {...}}
    {"kind": "end", "message": 3, "session": 2, "attempt": 4, "bounce": 1}

Records are in the form of `relay.core.jsonform`, each kind in the order in which it became durable.
The last line counts them, so that a file that was cut off is known for one. An import is one
transaction: all of the file, or nothing of it.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from relay.journal.api import Batch, JournalError, NoJournal
from relay.journal.bodies import BodyFiles, name_of, remove_left_over
from relay.journal.codec import from_microseconds
from relay.journal.lock import JournalLock
from relay.journal.rows import rows_of
from relay.journal.schema import connect_reader, connect_writer
from relay.journal.sqlite_errors import journal_error
from relay.journal.storing import Store

EXPORT_FORMAT: Final = 1
"""The number of the form of these lines."""

KINDS: Final = {
    "message": "messages",
    "session": "sessions",
    "attempt": "attempts",
    "bounce": "bounces",
}
"""What a line can be of, and the table that it is kept in; in the order of the file."""


def export_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a journal's export, without line ends; of one consistent state.

    Raises NoJournal, JournalVersion or JournalError.
    """
    with closing(connect_reader(path)) as connection:
        files = BodyFiles(path)
        try:
            connection.execute("BEGIN")
            yield json.dumps({"kind": "journal", "format": EXPORT_FORMAT})
            end: dict[str, str | int] = {"kind": "end"}
            for kind, table in KINDS.items():
                end[kind] = 0
                lines = (
                    _messages(connection, files)
                    if kind == "message"
                    else _of(connection, kind, table)
                )
                for count, line in enumerate(lines, 1):
                    yield line
                    end[kind] = count
            yield json.dumps(end)
        except sqlite3.Error as error:
            raise journal_error(error, path) from error


def _messages(connection: sqlite3.Connection, files: BodyFiles) -> Iterator[str]:
    rows = connection.execute(
        "SELECT m.sequence, m.id, m.record, c.content FROM messages m "
        "LEFT JOIN contents c ON c.message = m.sequence ORDER BY m.sequence"
    )
    for sequence, own, record, content in rows:
        body = _in_file(connection, files, sequence) if content is None else content
        if body is None:
            raise JournalError(
                f"message {own} has no body, or was deleted just now: export again; "
                "`relay journal check` tells more"
            )
        states = [
            {"state": state, "next_at": next_at and from_microseconds(next_at).isoformat()}
            for state, next_at in connection.execute(
                "SELECT state, next_at FROM recipients WHERE message = ? ORDER BY position",
                (sequence,),
            )
        ]
        encoded = base64.b64encode(body).decode("ascii")
        yield (
            f'{{"kind": "message", "states": {json.dumps(states)}, '
            f'"content": "{encoded}", "record": {record}}}'
        )


def _in_file(connection: sqlite3.Connection, files: BodyFiles, sequence: int) -> bytes | None:
    name = name_of(connection, sequence)
    try:
        return None if name is None else files.read(name)
    except FileNotFoundError:
        return None


def _of(connection: sqlite3.Connection, kind: str, table: str) -> Iterator[str]:
    rows = connection.execute(f"SELECT record FROM {table} ORDER BY sequence")  # noqa: S608
    for (record,) in rows:
        yield f'{{"kind": "{kind}", "record": {record}}}'


def import_batches(path: Path, batches: Iterator[Batch]) -> None:
    """Write batches into the journal at `path`, and make it where there is none: all or nothing.

    Raises JournalLocked where a relay has it, JournalVersion, or JournalError: an id that the
    journal has already, a record of a message that it does not have, a full disk.
    """
    path = path.absolute()
    lock = JournalLock.acquire(path)
    try:
        with closing(connect_writer(path)) as connection:
            files = BodyFiles(path)
            try:
                connection.execute("BEGIN IMMEDIATE")
                store = Store(connection, path)
                for batch in batches:
                    rows = rows_of(batch)
                    files.write(rows.files)
                    store.store((rows,))
                connection.execute("COMMIT")
            except BaseException as error:
                connection.rollback()
                remove_left_over(connection, files)
                if isinstance(error, sqlite3.Error):
                    raise journal_error(error, path) from error
                raise
    finally:
        lock.release()


def vacuum(path: Path) -> tuple[int, int]:
    """Write the journal's file anew without the room of what was deleted.

    Returns its octets before and after. Raises NoJournal, JournalLocked where a relay has it,
    JournalVersion or JournalError.
    """
    if not path.is_file():
        raise NoJournal(f"there is no journal at {path}")
    path = path.absolute()
    lock = JournalLock.acquire(path)
    try:
        with closing(connect_writer(path)) as connection:
            try:
                remove_left_over(connection, BodyFiles(path))
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                before = path.stat().st_size
                connection.execute("VACUUM")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            except sqlite3.Error as error:
                raise journal_error(error, path) from error
        return before, path.stat().st_size
    finally:
        lock.release()
