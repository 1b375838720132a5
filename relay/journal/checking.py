"""Whether a journal is sound: the file, its references, every record, every body in it or beside.

Reads alone, one consistent state of it, also beside the one who writes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.api import JournalError, RecipientState
from relay.journal.bodies import BodyFiles, name_of, names_in_use
from relay.journal.codec import decode
from relay.journal.keys import storable
from relay.journal.lock import is_held
from relay.journal.schema import connect_reader
from relay.journal.sqlite_errors import journal_error

_R = TypeVar("_R", Session, Attempt, Bounce)
_TOLD: Final = 1000
"""Records between two words of how far a check is."""
_STATES: Final = frozenset(state.value for state in RecipientState)


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is wrong: `where` names a record or the file, `what` is a clause."""

    where: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Soundness:
    """What was looked at, and all that is wrong with it; `octets` are those of the bodies.

    `left_over` are files of bodies that no message names. A crash leaves such, and the next start
    removes them; none are told of while a relay has the journal, which may just be writing them.
    """

    messages: int
    sessions: int
    attempts: int
    bounces: int
    octets: int
    damages: tuple[Damage, ...]
    left_over: tuple[str, ...] = ()


class _Check:
    """Counts and collects while it looks at one part after the other."""

    def __init__(
        self, connection: sqlite3.Connection, path: Path, looked: Callable[[int], None]
    ) -> None:
        self._connection = connection
        self._query = connection.execute
        self._files = BodyFiles(path)
        self._path = path
        self._looked = looked
        self.damages: list[Damage] = []
        self.counts = dict.fromkeys(("messages", "sessions", "attempts", "bounces", "octets"), 0)

    def run(self) -> Soundness:
        parts: tuple[Callable[[], Iterator[Damage]], ...] = (
            self._file,
            self._references,
            self._messages,
            self._recipients,
            self._sessions,
            self._attempts,
            self._bounces,
        )
        for part in parts:
            try:
                self.damages += part()
            except sqlite3.Error as error:
                # A damaged page ends this part alone; the others may still be read.
                found = Damage(where="the file", what=str(journal_error(error, self._path)))
                if found not in self.damages:
                    self.damages.append(found)
        return Soundness(**self.counts, damages=tuple(self.damages), left_over=self._left_over())

    def _count(self, kind: str) -> None:
        self.counts[kind] += 1
        if not self.counts[kind] % _TOLD:
            self._looked(_TOLD)

    def _file(self) -> Iterator[Damage]:
        for (found,) in self._query("PRAGMA integrity_check"):
            if found != "ok":
                yield Damage(where="the file", what=found)

    def _references(self) -> Iterator[Damage]:
        for table, row, parent, _ in self._query("PRAGMA foreign_key_check"):
            # A table without row numbers has none to name.
            yield Damage(
                where=f"table {table}" + (f", row {row}" if row else ""),
                what=f"belongs to none of the {parent}",
            )

    def _messages(self) -> Iterator[Damage]:
        rows = self._query(
            "SELECT m.sequence, m.id, m.record, c.content FROM messages m "
            "LEFT JOIN contents c ON c.message = m.sequence ORDER BY m.sequence"
        )
        for sequence, own, record, stored in rows:
            self._count("messages")
            where = f"message {own}"
            content = stored
            if stored is None:
                try:
                    content = self._in_file(sequence)
                except FileNotFoundError as error:
                    if not self._is_there(own):
                        continue
                    yield Damage(
                        where=where, what=f"has lost the file of its body: {error.filename}"
                    )
                except JournalError as error:
                    yield Damage(where=where, what=str(error))
                else:
                    if content is None:
                        yield Damage(where=where, what="has no body")
            try:
                envelope = decode(Envelope, record)
            except JournalError as error:
                yield Damage(where=where, what=str(error))
                continue
            if envelope.id != own:
                yield Damage(where=where, what=f"has the record of {envelope.id}")
            if content is not None:
                self.counts["octets"] += len(content)
                if len(content) != envelope.size:
                    what = f"has a body of {len(content)} octets instead of {envelope.size}"
                    yield Damage(where=where, what=what)
                elif sha256(content).hexdigest() != envelope.sha256:
                    yield Damage(where=where, what="has another body than was received (SHA-256)")

    def _in_file(self, message: int) -> bytes | None:
        name = name_of(self._connection, message)
        return None if name is None else self._files.read(name)

    def _is_there(self, message_id: str) -> bool:
        """Whether the journal has a message now; it may have been deleted since the check began."""
        with closing(connect_reader(self._path)) as now:
            found = now.execute("SELECT 1 FROM messages WHERE id = ?", (message_id,)).fetchone()
        return found is not None

    def _left_over(self) -> tuple[str, ...]:
        if is_held(self._path):
            return ()
        with closing(connect_reader(self._path)) as now:
            return self._files.left_over(names_in_use(now))

    def _recipients(self) -> Iterator[Damage]:
        rows = self._query(
            "SELECT m.id, r.position, r.address, r.state, r.next_at, "
            "json_extract(m.record, '$.recipients[' || r.position || ']') "
            "FROM recipients r JOIN messages m ON m.sequence = r.message"
        )
        for own, position, address, state, next_at, meant in rows:
            where = f"message {own}, recipient {position + 1}"
            if meant is None or storable(meant) != address:
                yield Damage(where=where, what="is not the one of the envelope")
            if state not in _STATES:
                yield Damage(where=where, what=f"has a state that is none: {state}")
            elif (state == RecipientState.QUEUED.value) is not (next_at is not None):
                yield Damage(where=where, what=f"is {state} and next due at {next_at}")
        rows = self._query(
            "SELECT m.id, json_array_length(m.record, '$.recipients'), "
            "(SELECT count(*) FROM recipients r WHERE r.message = m.sequence) FROM messages m"
        )
        for own, meant, found in rows:
            if meant is not None and found < meant:
                yield Damage(where=f"message {own}", what=f"lacks {meant - found} recipients")

    def _sessions(self) -> Iterator[Damage]:
        for own, record in self._query("SELECT id, record FROM sessions ORDER BY sequence"):
            self._count("sessions")
            yield from _record(Session, own, record)

    def _attempts(self) -> Iterator[Damage]:
        for own, record, message in self._of_messages("attempts"):
            self._count("attempts")
            yield from _record(Attempt, own, record, message=message)

    def _bounces(self) -> Iterator[Damage]:
        for own, record, message in self._of_messages("bounces"):
            self._count("bounces")
            yield from _record(Bounce, own, record, message=message)

    def _of_messages(self, table: str) -> Iterator[tuple[Any, ...]]:
        return self._query(
            f"SELECT t.id, t.record, m.id FROM {table} t "  # noqa: S608 - a literal
            "LEFT JOIN messages m ON m.sequence = t.message ORDER BY t.sequence"
        )


def _record(kind: type[_R], own: str, text: str, *, message: str | None = None) -> Iterator[Damage]:
    where = f"{kind.__name__.lower()} {own}"
    try:
        record = decode(kind, text)
    except JournalError as error:
        yield Damage(where=where, what=str(error))
        return
    if record.id != own:
        yield Damage(where=where, what=f"has the record of {record.id}")
    if message not in {None, getattr(record, "message_id", None)}:
        yield Damage(where=where, what=f"stands with message {message}, not its own")


def check_journal(path: Path, looked: Callable[[int], None] = lambda _: None) -> Soundness:
    """Look at all of a journal; raise NoJournal, JournalVersion or JournalError.

    `looked` is told of records looked at, many at a time.
    A file that can be opened but is damaged raises nothing: the damages say so.
    """
    with closing(connect_reader(path)) as connection:
        connection.execute("BEGIN")
        return _Check(connection, path, looked).run()
