"""SQLite's errors in words that say what is wrong with which file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from relay.journal.api import JournalError, JournalUnavailable

_MAY_PASS: Final = (["FULL"], ["READONLY"], ["PERM"], ["CANTOPEN"], ["IOERR"], ["BUSY"], ["LOCKED"])
"""Results that say more of the disk, or of another program, than of what was to be written."""


def journal_error(error: sqlite3.Error, path: Path) -> JournalError:
    """Return the error to raise for one of SQLite's, by its result code."""
    name = getattr(error, "sqlite_errorname", "")
    primary = name.split("_")[1:2]
    kind = JournalUnavailable if primary in _MAY_PASS else JournalError
    match primary:
        case ["FULL"]:
            what = "there is no space left for the journal"
        case ["READONLY"] | ["PERM"]:
            what = "the journal can't be written"
        case ["CANTOPEN"]:
            what = "the journal can't be opened, or its directory can't be written"
        case ["NOTADB"]:
            what = "this file is not a journal, nor any SQLite database"
        case ["CORRUPT"]:
            what = "the journal is damaged"
        case ["IOERR"]:
            what = f"the disk failed the journal ({name})"
        case ["BUSY"] | ["LOCKED"]:
            what = "another program keeps the journal locked"
        case ["CONSTRAINT"]:
            what = "the journal already has a record with an id of this batch"
        case _:
            what = f"SQLite failed the journal ({error})"
    return kind(f"{what}: {path}")
