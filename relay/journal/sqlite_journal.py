"""Opening a journal: the lock, the file, what a dead process left behind, the bounce lines."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from relay.journal.api import JournalError, JournalReader, JournalWriter, RecipientRef
from relay.journal.bodies import BodyFiles, remove_left_over
from relay.journal.lines import BounceLines
from relay.journal.lock import JournalLock
from relay.journal.schema import connect_writer
from relay.journal.sqlite_errors import journal_error
from relay.journal.sqlite_reader import open_reader
from relay.journal.sqlite_writer import SqliteWriter, abandon_inline, committed_bounces


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteJournal:
    """An open journal, to be closed or used in `async with`.

    `abandoned` are the recipients that this start found in hand: a process died before their client
    had an answer.
    """

    path: Path
    writer: JournalWriter
    reader: JournalReader
    abandoned: tuple[RecipientRef, ...]

    async def close(self) -> None:
        """Finish what was handed in, then release the journal."""
        await self.writer.close()
        self.reader.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def open_journal(path: Path, *, bounce_lines: Path | None) -> SqliteJournal:
    """Open the journal at `path` as its only writer, and make it where there is none.

    `bounce_lines` is the file that bounces are appended to as JSON lines; lines that a crash left
    out are appended now. Directories are made. Raises JournalLocked, JournalVersion or
    JournalError, each with one line that says what is wrong.
    """
    path = path.absolute()
    for file in (path, bounce_lines):
        if file is not None:
            _make_directory(file.absolute().parent)
    with contextlib.ExitStack() as on_failure:
        lock = JournalLock.acquire(path)
        on_failure.callback(lock.release)
        connection = connect_writer(path)
        on_failure.callback(connection.close)
        lines = None
        if bounce_lines is not None:
            lines = BounceLines(bounce_lines, partial(committed_bounces, connection))
            on_failure.callback(lines.close)
        try:
            abandoned = abandon_inline(connection)
            remove_left_over(connection, BodyFiles(path))
            if lines is not None:
                lines.catch_up()
        except sqlite3.Error as error:
            raise journal_error(error, path) from error
        except OSError as error:
            raise JournalError(
                f"bounce lines can't be written ({error.strerror or error}): {bounce_lines}"
            ) from error
        reader = open_reader(path)
        on_failure.pop_all()
    writer = SqliteWriter(path=path, connection=connection, lock=lock, lines=lines)
    return SqliteJournal(path=path, writer=writer, reader=reader, abandoned=abandoned)


def _make_directory(directory: Path) -> None:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise JournalError(f"the journal's directory is a file: {directory}") from error
    except OSError as error:
        raise JournalError(
            f"the journal's directory can't be made ({error.strerror}): {directory}"
        ) from error
