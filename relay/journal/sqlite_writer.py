"""The writer: one thread, and one transaction for whatever waits.

    write() ─> queue ─> thread: BEGIN, all that waits, COMMIT ─> bounce lines
       │ ^───────── one call to the event loop wakes all who waited ──────┘
       └> big bodies, each in a thread of its own ─> queue

A disk syncs several files at once in the time of one, and nobody's small commit has to wait for
somebody else's big body: that is why these have threads of their own.

Where the journal refuses any of it, all is taken back and each batch gets a savepoint, so that the
bad one goes alone. When the transaction as a whole fails, each of its batches is tried once more by
itself, so that one that does not fit takes no other with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, NamedTuple

from relay.journal.api import Batch, JournalError, RecipientRef
from relay.journal.bodies import BodyFiles
from relay.journal.deleting import PROBE
from relay.journal.lines import BounceLines, StoredBounce
from relay.journal.lock import JournalLock
from relay.journal.rows import Rows, rows_of
from relay.journal.sqlite_errors import journal_error
from relay.journal.storing import Store

GROUP_LIMIT: Final = 500
"""Batches in one transaction at most."""

BODIES_AT_ONCE: Final = 8
"""Batches whose big bodies are written at the same time."""

_REFUSALS: Final = (JournalError, sqlite3.Error, ValueError, OverflowError)
"""What storing a batch may raise."""

_log: Final = logging.getLogger("relay.journal")


class _Waiting(NamedTuple):
    """A batch handed in, and who waits for it."""

    rows: Rows
    done: asyncio.Future[None]


class _Result(NamedTuple):
    """What became of a batch; `freed` are the files that nothing needs any more."""

    waiting: _Waiting
    error: JournalError | None
    freed: Sequence[str] = ()


class SqliteWriter:
    """Writes a journal through a connection that it owns from now on, as it does the lock.

    `connection` is one of `connect_writer`; `lines` is None when no bounce lines are kept.
    """

    def __init__(
        self,
        *,
        path: Path,
        connection: sqlite3.Connection,
        lock: JournalLock,
        lines: BounceLines | None,
    ) -> None:
        self._path = path
        self._connection = connection
        self._lock = lock
        self._lines = lines
        self._lines_lack = False
        self._store = Store(connection, path)
        self._files = BodyFiles(path)
        self._bodies = ThreadPoolExecutor(BODIES_AT_ONCE, thread_name_prefix="journal-bodies")
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._gathered: dict[asyncio.AbstractEventLoop, list[_Waiting]] = {}
        self._closed = False
        self._thread = Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    async def write(self, batch: Batch) -> None:
        await self._hand_in(rows_of(batch))

    async def check(self) -> None:
        await self._hand_in(Rows(statements=(PROBE,)))

    def _hand_in(self, rows: Rows) -> asyncio.Future[None]:
        if self._closed:
            raise JournalError(f"the journal is closed: {self._path}")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(rows, loop.create_future())
        gathered = self._gathered.get(loop)
        if rows.files:
            self._bodies.submit(self._write_files, waiting)
        elif gathered is None:
            self._gathered[loop] = [waiting]
            loop.call_soon(self._hand_over, loop)
        else:
            gathered.append(waiting)
        return waiting.done

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give the thread what one turn of the loop brought: it is woken once, and commits once."""
        for waiting in self._gathered.pop(loop, ()):
            self._queue.put(waiting)

    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._hand_over(asyncio.get_running_loop())
        await asyncio.to_thread(self._finish)

    def _finish(self) -> None:
        """Wait for what was handed in."""
        self._bodies.shutdown()
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        try:
            closing = False
            while not closing:
                group, closing = self._take()
                if group:
                    _wake(self._keep(group))
        finally:
            if self._lines is not None:
                self._lines.close()
            self._connection.close()
            self._lock.release()

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Wait for one batch, then take all that wait by now; say whether that was the last."""
        group: list[_Waiting] = []
        item = self._queue.get()
        while item is not None:
            group.append(item)
            if len(group) == GROUP_LIMIT:
                return group, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return group, False
        return group, True

    def _keep(self, group: Sequence[_Waiting]) -> list[_Result]:
        """Store what fits; files are there before their rows are, and go after them."""
        results = self._commit(group)
        for result in results:
            if result.error is not None:
                self._files.remove(name for name, _ in result.waiting.rows.files)
            if result.freed:
                self._files.remove(result.freed)
        return results

    def _write_files(self, waiting: _Waiting) -> None:
        """Write a batch's files, then hand it to the writer's thread; in one of `_bodies`."""
        try:
            self._files.write(waiting.rows.files)
        except JournalError as error:
            _wake([_Result(waiting, error)])
        else:
            self._queue.put(waiting)

    def _commit(self, group: Sequence[_Waiting]) -> list[_Result]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = self._apply_all(group)
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            if len(group) > 1:
                return [result for waiting in group for result in self._commit([waiting])]
            return [_Result(group[0], journal_error(error, self._path))]
        if not self._lines_lack:
            self._lines_lack = any(waiting.rows.bounces for waiting in group)
        self._append_lines()
        return results

    def _apply_all(self, group: Sequence[_Waiting]) -> list[_Result]:
        if not any(waiting.rows.statements for waiting in group):
            try:
                self._store.store([waiting.rows for waiting in group])  # These delete nothing.
            except _REFUSALS:
                self._roll_back()
                self._connection.execute("BEGIN IMMEDIATE")
            else:
                return [_Result(waiting, None) for waiting in group]
        return [self._apply(waiting) for waiting in group]

    def _apply(self, waiting: _Waiting) -> _Result:
        """Store one batch inside the transaction, or take it back and say why."""
        execute = self._connection.execute
        execute("SAVEPOINT batch")
        try:
            freed = self._store.store((waiting.rows,))
        except _REFUSALS as error:
            if not self._connection.in_transaction:
                # SQLite itself has taken the whole transaction back, as it may on a full disk.
                raise
            execute("ROLLBACK TO batch")
            execute("RELEASE batch")
            self._store.forget()
            match error:
                case JournalError():
                    return _Result(waiting, error)
                case sqlite3.Error():
                    return _Result(waiting, journal_error(error, self._path))
                case _:
                    what = f"the journal can't hold a value of this batch: {error}"
                    return _Result(waiting, JournalError(what))
        if waiting.rows.statements:
            self._store.forget()
        execute("RELEASE batch")
        return _Result(waiting, None, freed)

    def _roll_back(self) -> None:
        self._store.forget()
        if self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    def _append_lines(self) -> None:
        """Append what is missing; a failure leaves it to the next commit, the journal has it."""
        if self._lines is None or not self._lines_lack:
            return
        try:
            self._lines.catch_up()
            self._lines_lack = False
        except (OSError, sqlite3.Error) as error:
            _log.warning("bounce lines are behind the journal: %s", error)


def _wake(results: Iterable[_Result]) -> None:
    """Tell every waiter, with one call to its event loop for all of them."""
    by_loop: dict[asyncio.AbstractEventLoop, list[_Result]] = {}
    for result in results:
        by_loop.setdefault(result.waiting.done.get_loop(), []).append(result)
    for loop, its_results in by_loop.items():
        with contextlib.suppress(RuntimeError):  # The loop was closed: nobody waits any more.
            loop.call_soon_threadsafe(_settle, its_results)


def _settle(results: Iterable[_Result]) -> None:
    for waiting, error, _ in results:
        if waiting.done.done():
            continue
        if error is None:
            waiting.done.set_result(None)
        else:
            waiting.done.set_exception(error)


def abandon_inline(connection: sqlite3.Connection) -> tuple[RecipientRef, ...]:
    """Mark recipients that a dead process left in hand as abandoned; return them."""
    found = connection.execute(
        "SELECT m.id, r.address FROM recipients r JOIN messages m ON m.sequence = r.message "
        "WHERE r.state = 'inline' ORDER BY r.message, r.position"
    ).fetchall()
    connection.execute("UPDATE recipients SET state = 'abandoned' WHERE state = 'inline'")
    return tuple(RecipientRef(message_id=message, recipient=address) for message, address in found)


def committed_bounces(connection: sqlite3.Connection, after: int) -> list[StoredBounce]:
    """Return the bounces behind a sequence number, in order."""
    return [
        StoredBounce(*row)
        for row in connection.execute(
            "SELECT sequence, id, record FROM bounces WHERE sequence > ? ORDER BY sequence",
            (after,),
        )
    ]
