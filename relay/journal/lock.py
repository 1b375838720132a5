"""The lock that keeps a second writer out.

It is an open exclusive transaction on an SQLite file of its own, so the operating system's file
locks hold it on every platform and drop it when the process dies, however it dies. The holder's
process id stands in a third file: nobody can read a locked one.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from relay.journal.api import JournalLocked
from relay.journal.sqlite_errors import journal_error


class JournalLock:
    """Held from `acquire` to `release`."""

    def __init__(self, connection: sqlite3.Connection, pid_file: Path) -> None:
        self._connection = connection
        self._pid_file = pid_file

    @classmethod
    def acquire(cls, journal: Path) -> JournalLock:
        """Lock a journal; raise JournalLocked when another has it, JournalError when none can."""
        lock_file = journal.with_name(f"{journal.name}.lock")
        pid_file = journal.with_name(f"{journal.name}.pid")
        try:
            connection = sqlite3.connect(
                lock_file, isolation_level=None, timeout=0, check_same_thread=False
            )
        except sqlite3.Error as error:
            raise journal_error(error, lock_file) from error
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error as error:
            connection.close()
            if getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY"):
                raise _locked(journal, pid_file) from error
            raise journal_error(error, lock_file) from error
        with contextlib.suppress(OSError):
            pid_file.write_text(f"{os.getpid()}\n", encoding="ascii")
        return cls(connection, pid_file)

    def release(self) -> None:
        """Let the next writer in."""
        with contextlib.suppress(OSError):
            self._pid_file.unlink()
        self._connection.close()


def is_held(journal: Path) -> bool:
    """Whether somebody has a journal's lock, found out without taking it."""
    lock_file = journal.absolute().with_name(f"{journal.name}.lock")
    if not lock_file.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"{lock_file.as_uri()}?mode=ro", uri=True, timeout=0)) as lock:
            lock.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error:
        return True
    return False


def _locked(journal: Path, pid_file: Path) -> JournalLocked:
    try:
        pid = int(pid_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        pid = None
    holder = "another relay" if pid is None else f"another relay (process {pid})"
    return JournalLocked(f"{holder} is writing this journal: {journal}", pid=pid)
