"""The tables, and opening a file that has them.

    messages ──< recipients        one row for each, in the envelope's order, with its queue state
        ├──── contents             apart, so that lists never read past a big message
        ├──── bodies               instead, where a file has it: relay.journal.bodies
        ├──< attempts
        └──< bounces
    sessions

A record's own text stands in `record`; the other columns repeat what is searched by. `sequence`
counts in the order of commits and is never given twice: `highest` has, by table, the number that
the deleted may have had. Times are microseconds since 1970 UTC. Sources: sqlite.org/wal.html,
sqlite.org/pragma.html.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import Final

from relay.journal.api import JournalError, JournalVersion, NoJournal
from relay.journal.sqlite_errors import journal_error
from relay.journal.whole_files import sync_directory

FORMAT: Final = 2
"""The number of this layout (`PRAGMA user_version`)."""

_READABLE: Final = frozenset({1, FORMAT})
"""Format 1 has all bodies in the journal; who writes it makes it the present one."""

APPLICATION_ID: Final = int.from_bytes(b"RLab")
"""Tells a journal from other SQLite files (`PRAGMA application_id`)."""

_TABLES: Final = """
CREATE TABLE messages (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    message_id_header TEXT,
    record TEXT NOT NULL
);
CREATE INDEX messages_by_header ON messages (message_id_header)
    WHERE message_id_header IS NOT NULL;

CREATE TABLE contents (
    message INTEGER PRIMARY KEY REFERENCES messages,
    content BLOB NOT NULL
);

CREATE TABLE recipients (
    message INTEGER NOT NULL REFERENCES messages,
    position INTEGER NOT NULL,
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    state TEXT NOT NULL,
    next_at INTEGER,
    PRIMARY KEY (message, position)
) WITHOUT ROWID;
CREATE INDEX recipients_by_domain ON recipients (domain, message);
CREATE INDEX recipients_by_state ON recipients (state, message);
CREATE INDEX recipients_due ON recipients (next_at) WHERE state = 'queued';

CREATE TABLE sessions (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    record TEXT NOT NULL
);

CREATE TABLE attempts (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    message INTEGER NOT NULL REFERENCES messages,
    record TEXT NOT NULL
);
CREATE INDEX attempts_by_message ON attempts (message);

CREATE TABLE bounces (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    message INTEGER NOT NULL REFERENCES messages,
    address TEXT NOT NULL,
    domain TEXT NOT NULL,
    code INTEGER NOT NULL,
    enhanced TEXT NOT NULL,
    record TEXT NOT NULL
);
CREATE INDEX bounces_by_message ON bounces (message);
CREATE INDEX bounces_by_domain ON bounces (domain);
CREATE INDEX bounces_by_code ON bounces (code);
CREATE INDEX bounces_by_enhanced ON bounces (enhanced);
"""

_ADDED: Final = """
CREATE INDEX IF NOT EXISTS bounces_by_address ON bounces (address COLLATE NOCASE);
CREATE INDEX IF NOT EXISTS bounces_code_messages ON bounces (code, message);
CREATE INDEX IF NOT EXISTS bounces_enhanced_messages ON bounces (enhanced, message);
CREATE INDEX IF NOT EXISTS bounces_counted ON bounces (sequence)
    WHERE json_extract(record, '$.salesforce.is_bounced');
CREATE INDEX IF NOT EXISTS recipients_by_address ON recipients (address COLLATE NOCASE, message);
CREATE INDEX IF NOT EXISTS messages_by_time ON messages (json_extract(record, '$.received_at'));
CREATE TABLE IF NOT EXISTS highest (name TEXT PRIMARY KEY, sequence INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bodies (
    message INTEGER PRIMARY KEY REFERENCES messages,
    file TEXT NOT NULL
);
"""
"""What older journals may lack; a reader does without."""

_DROPPED: Final = "DROP INDEX IF EXISTS messages_by_session;"
"""What older journals may have and nobody reads: each index costs a message about a page."""

_JOURNAL_SIZE_LIMIT: Final = 64 * 1024 * 1024
"""Octets that the write-ahead log may keep on disk once it has been copied back."""


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the journal to write it, and make it where there is none.

    Every commit is on disk when it returns (WAL with synchronous=FULL). Raises JournalError, and
    JournalVersion for a file that another version made.
    """
    made = not path.exists()
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    except sqlite3.Error as error:
        raise journal_error(error, path) from error
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(connection.close)
        try:
            found = _found_format(connection, path)
            if found is None:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_TABLES} PRAGMA application_id = {APPLICATION_ID};"
                    f"PRAGMA user_version = {FORMAT}; COMMIT;"
                )
            (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
            if mode != "wal":
                raise JournalError(f"SQLite can't keep a write-ahead log beside {path}")
            connection.execute("PRAGMA synchronous = FULL")
            # A group's rows change more pages than SQLite remembers of a statement in memory, and
            # each such statement had a file made and removed for what it may have to take back.
            connection.execute("PRAGMA temp_store = MEMORY")
            connection.executescript(_ADDED + _DROPPED)
            if found == 1:
                connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute(f"PRAGMA journal_size_limit = {_JOURNAL_SIZE_LIMIT}")
        except sqlite3.Error as error:
            raise journal_error(error, path) from error
        on_failure.pop_all()
    if made:
        sync_directory(path.parent)
    return connection


def connect_reader(path: Path) -> sqlite3.Connection:
    """Open the journal to read it, beside whoever writes it.

    Raises NoJournal where there is none, JournalVersion, or JournalError.
    """
    missing = NoJournal(f"there is no journal at {path}")
    if not path.is_file():
        raise missing
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro",
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.Error as error:
        raise journal_error(error, path) from error
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(connection.close)
        try:
            if _found_format(connection, path) is None:
                raise missing
        except sqlite3.Error as error:
            raise journal_error(error, path) from error
        on_failure.pop_all()
    return connection


def _found_format(connection: sqlite3.Connection, path: Path) -> int | None:
    """Return the file's format when it is ours, None for an empty file; raise for all others."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if not (application or version or tables):
        return None
    if application != APPLICATION_ID:
        raise JournalError(f"this SQLite database is not a journal: {path}")
    if version not in _READABLE:
        age = "a newer" if version > FORMAT else "an older"
        raise JournalVersion(
            f"{age} version made this journal: it has format {version}, "
            f"this version reads format {FORMAT}: {path}",
            found=version,
            known=FORMAT,
        )
    return int(version)
