"""Big bodies: each in a file of its own beside the journal, in `<journal>.bodies`.

    write the file, sync it, sync its directory  ──>  commit the row that names it
    commit the deletion of that row              ──>  remove the file

A crash between two steps leaves a file that no row names, which the next start removes; it never
leaves a row without its file. SQLite would write a big body twice, into its log and into the
journal. A name is never used again, so that no body is ever written over.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final

from relay.core.ids import ID_FORM
from relay.journal.api import JournalError, JournalUnavailable
from relay.journal.whole_files import sync_directory

SMALL: Final = 64 * 1024
"""Octets that a body has at most to be kept in the journal itself."""

_OPEN_AT_ONCE: Final = 32
_NAME: Final = re.compile(r"[0-9a-z]+(-[0-9a-f]+)?")


def new_name(message_id: str) -> str:
    """Return the name of a file for a message's body: it begins with the id where that is safe."""
    unique = secrets.token_hex(4)
    return f"{message_id}-{unique}" if ID_FORM.fullmatch(message_id) else secrets.token_hex(16)


def _has_files(connection: sqlite3.Connection) -> bool:
    """Whether the journal has the table of them: in format 1 it has none."""
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'bodies'").fetchone()
    return found is not None


def name_of(connection: sqlite3.Connection, message: int) -> str | None:
    """Return the name of the file with a message's body, None where it is in none."""
    if not _has_files(connection):
        return None
    row = connection.execute("SELECT file FROM bodies WHERE message = ?", (message,)).fetchone()
    return None if row is None else str(row[0])


def names_in_use(connection: sqlite3.Connection) -> frozenset[str]:
    """Return the names of all files that rows name."""
    if not _has_files(connection):
        return frozenset()
    return frozenset(name for (name,) in connection.execute("SELECT file FROM bodies"))


class BodyFiles:
    """The files beside the journal at `journal`; the directory is made for the first of them.

    Several threads may write at the same time.
    """

    def __init__(self, journal: Path) -> None:
        self._directory = journal.with_name(f"{journal.name}.bodies")
        self._making = Lock()

    def write(self, files: Sequence[tuple[str, bytes]]) -> None:
        """Return when all of these are on disk; raise JournalUnavailable and keep none of them."""
        if not files:
            return
        try:
            # Nobody may take the directory for there before it is so on disk.
            with self._making:
                if not self._directory.is_dir():
                    self._directory.mkdir()
                    sync_directory(self._directory.parent)
            for start in range(0, len(files), _OPEN_AT_ONCE):
                self._write_some(files[start : start + _OPEN_AT_ONCE])
            sync_directory(self._directory)
        except OSError as error:
            self.remove(name for name, _ in files)
            raise _unavailable(error, self._directory) from error

    def _write_some(self, files: Sequence[tuple[str, bytes]]) -> None:
        with contextlib.ExitStack() as opened:
            written = []
            for name, content in files:
                file = opened.enter_context(self._path(name).open("xb", buffering=0))
                written.append(file)
                left = memoryview(content)
                while left:
                    left = left[file.write(left) :]
            # Only now: the disk has had something to do meanwhile.
            for file in written:
                os.fsync(file.fileno())

    def read(self, name: str) -> bytes:
        """Return a body; raise FileNotFoundError, or JournalError where it can't be read."""
        try:
            return self._path(name).read_bytes()
        except FileNotFoundError:
            raise
        except OSError as error:
            what = f"a body can't be read ({error.strerror or error})"
            raise JournalError(f"{what}: {self._path(name)}") from error

    def remove(self, names: Iterable[str]) -> None:
        """Remove files, as far as they are there and can be; the next start tries again."""
        for name in names:
            with contextlib.suppress(OSError, JournalError):
                self._path(name).unlink()

    def left_over(self, used: frozenset[str]) -> tuple[str, ...]:
        """Return the names of files that none of the `used` is; JournalUnavailable if need be."""
        if not self._directory.is_dir():
            return ()
        try:
            found = {path.name for path in self._directory.iterdir()}
        except OSError as error:
            what = f"the journal's bodies can't be read ({error.strerror or error})"
            raise JournalUnavailable(f"{what}: {self._directory}") from error
        return tuple(sorted(found - used))

    def _path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise JournalError(f"the journal names a file that can't be a body's: {name!r}")
        return self._directory / name


def remove_left_over(connection: sqlite3.Connection, files: BodyFiles) -> None:
    """Remove what a crash left without a row; for the one who holds the journal's lock."""
    files.remove(files.left_over(names_in_use(connection)))


def _unavailable(error: OSError, directory: Path) -> JournalUnavailable:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return JournalUnavailable(f"there is no space left for the journal: {directory}")
    return JournalUnavailable(f"a body can't be written ({error.strerror or error}): {directory}")
