"""Contacts and leads, and when addresses were cleared: an SQLite file beside the journal.

The journal has one writer, the relay that serves. Contacts are imported and cleared by commands
beside it, hence a file of their own; flags are no part of it (`relay.core.contacts`).

    contacts    one row for each object and id, in the order of their first import
    cleared     one row for each address that was ever cleared, by its key
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from relay.core.contacts import Contact, ContactObject, address_key
from relay.journal.api import JournalError
from relay.journal.codec import from_microseconds, to_microseconds
from relay.journal.keys import storable

CONTACTS_FILE: Final = "contacts.sqlite3"
"""The file's name beside the journal."""
FORMAT: Final = 1
"""The number of this layout (`PRAGMA user_version`)."""
APPLICATION_ID: Final = int.from_bytes(b"RLco")
"""Tells this file from other SQLite files (`PRAGMA application_id`)."""

_TABLES: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS contacts (
    sequence INTEGER PRIMARY KEY,
    object TEXT NOT NULL,
    id TEXT NOT NULL,
    email TEXT NOT NULL,
    address TEXT NOT NULL,
    first_name TEXT NOT NULL,
    last_name TEXT NOT NULL,
    UNIQUE (object, id)
);
CREATE INDEX IF NOT EXISTS contacts_by_address ON contacts (address);
CREATE TABLE IF NOT EXISTS cleared (
    address TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {FORMAT};
COMMIT;
"""
_UPSERT: Final = """
INSERT INTO contacts (object, id, email, address, first_name, last_name)
VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (object, id) DO UPDATE SET email = excluded.email, address = excluded.address,
    first_name = excluded.first_name, last_name = excluded.last_name
"""


class ContactsError(JournalError):
    """The contacts could not be read or written; the message is one line for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What an import did."""

    added: int
    updated: int


class ContactsStore:
    """Contacts at a path; each call opens the file for itself, so any process may use it.

    A file that is not there reads as an empty one; writing makes it. Raises ContactsError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, contacts: Iterable[Contact]) -> Imported:
        """Import contacts, all or none; one with an object and id that is known is updated."""
        with self._writing() as connection:
            ((before,),) = connection.execute("SELECT count(*) FROM contacts")
            rows = connection.executemany(
                _UPSERT,
                (
                    tuple(
                        map(
                            storable,
                            (
                                contact.object.value,
                                contact.id,
                                contact.email,
                                address_key(contact.email),
                                contact.first_name,
                                contact.last_name,
                            ),
                        )
                    )
                    for contact in contacts
                ),
            ).rowcount
            ((after,),) = connection.execute("SELECT count(*) FROM contacts")
        added = after - before
        return Imported(added=added, updated=max(rows, 0) - added)

    def contacts(self, email: str | None = None) -> tuple[Contact, ...]:
        """Return contacts in the order of their import, all or those with an address."""
        sql = "SELECT object, id, email, first_name, last_name FROM contacts "
        values: tuple[str, ...] = ()
        if email is not None:
            sql += "WHERE address = ? "
            values = (storable(address_key(email)),)
        with self._reading() as connection:
            rows = connection.execute(f"{sql}ORDER BY sequence", values).fetchall()
        return tuple(
            Contact(
                object=ContactObject(kind), id=own, email=address, first_name=first, last_name=last
            )
            for kind, own, address, first, last in rows
        )

    def clear(self, email: str, at: datetime) -> None:
        """Confirm an address: bounces up to `at` flag it no longer."""
        with self._writing() as connection:
            connection.execute(
                "INSERT INTO cleared (address, at) VALUES (?, ?) "
                "ON CONFLICT (address) DO UPDATE SET at = excluded.at",
                (storable(address_key(email)), to_microseconds(at)),
            )

    def cleared_at(self, email: str) -> datetime | None:
        """Return when an address was last cleared, None if it never was."""
        with self._reading() as connection:
            row = connection.execute(
                "SELECT at FROM cleared WHERE address = ?", (storable(address_key(email)),)
            ).fetchone()
        return None if row is None else from_microseconds(row[0])

    def cleared(self) -> Mapping[str, datetime]:
        """Return when each address was last cleared, by its key."""
        with self._reading() as connection:
            rows = connection.execute("SELECT address, at FROM cleared").fetchall()
        return {address: from_microseconds(at) for address, at in rows}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            if not self._path.is_file():
                with closing(sqlite3.connect(":memory:", isolation_level=None)) as empty:
                    empty.executescript(_TABLES)
                    yield empty
                return
            address = f"{self._path.absolute().as_uri()}?mode=ro"
            with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as connection:
                self._check(connection)
                yield connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._errors():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, isolation_level=None)) as connection:
                if self._check(connection) == 0:
                    connection.execute("PRAGMA journal_mode = WAL")
                    connection.executescript(_TABLES)
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")

    def _check(self, connection: sqlite3.Connection) -> int:
        """Return the file's format, 0 for an empty file; ContactsError for one of others."""
        ((application,),) = connection.execute("PRAGMA application_id")
        ((version,),) = connection.execute("PRAGMA user_version")
        ((tables,),) = connection.execute("SELECT count(*) FROM sqlite_master")
        if not (application or version or tables):
            return 0
        if application != APPLICATION_ID or version != FORMAT:
            raise ContactsError(
                f"this is no file of contacts that this version reads: {self._path}"
            )
        return FORMAT

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise ContactsError(f"the contacts can't be used ({error}): {self._path}") from error
