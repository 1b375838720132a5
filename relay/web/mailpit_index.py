"""The messages of the journal as Mailpit lists and searches them.

A private SQLite database, filled from the journal when somebody asks and gone with the program:

    mail    one row for each message: that it is there, and whether it was read;
            once somebody asked for more, what is searched and listed
    tags    which message has which tag

To read a message costs as much as to receive it. So a list reads those that it shows, a search
those that the words are looked for in, and what was read stays. Read flags and tags are Mailpit's
alone and no part of the journal. What is searched for reaches SQLite as parameters.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import accumulate, takewhile
from operator import attrgetter
from threading import Lock
from typing import Final

from relay.core.jsonform import Json
from relay.journal.api import JournalReader, JournalUnavailable, NotFound
from relay.journal.codec import to_microseconds
from relay.web.mailpit_glance import Glance
from relay.web.mailpit_message import MailMessage
from relay.web.mailpit_row import MailRow, row_of
from relay.web.mailpit_search import Limit, Term
from relay.web.mailpit_sql import asks_content, where_of
from relay.web.mailpit_words import verdict_json

_TAKEN_AT_ONCE: Final = 5_000
"""Messages taken in between two looks at whether the program ends."""
_READ_AT_ONCE: Final = 200
"""Messages read between two turns of others."""
_OCTETS_AT_ONCE: Final = 8 * 1024 * 1024
"""Octets of messages that are in memory at once; a message alone may have more."""
_SEARCHES: Final = 1000
"""Searches of which it is known how far they have looked; the one used longest ago gives way."""
_TABLES: Final = """
CREATE TABLE mail (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL,
    read INTEGER NOT NULL DEFAULT 0,
    verdict TEXT,
    attachments INTEGER,
    inline INTEGER,
    sender TEXT,
    recipients TEXT,
    cc TEXT,
    bcc TEXT,
    reply_to TEXT,
    subject TEXT,
    message_id TEXT,
    words TEXT,
    summary TEXT
);
CREATE INDEX mail_by_time ON mail (created, id);
CREATE INDEX mail_unread ON mail (read) WHERE read = 0;
CREATE INDEX mail_to_read ON mail (sequence) WHERE summary IS NULL;
CREATE TABLE tags (
    mail TEXT NOT NULL REFERENCES mail (id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (mail, tag)
) WITHOUT ROWID;
"""
_COLUMNS: Final = tuple(field.name for field in fields(MailRow))
_VALUES: Final = attrgetter(*_COLUMNS)
_KEEP: Final = f"UPDATE mail SET {', '.join(f'{name} = ?' for name in _COLUMNS)} WHERE id = ?"  # noqa: S608 - our own names
_THESE: Final = "id IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page of a list: `matching` and `unread_matching` count beyond it."""

    messages: tuple[Json, ...]
    matching: int
    unread_matching: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What there is altogether: messages, unread ones, messages by tag."""

    messages: int
    unread: int
    tags: dict[str, int]


class MailIndex:
    """Lists and searches; may be used from several threads. Raises JournalError.

    `stopped` says that the program ends, and nobody waits for a long journal to be read.
    """

    def __init__(self, journal: JournalReader, stopped: Callable[[], bool]) -> None:
        self._journal = journal
        self._stopped = stopped
        self._lock = Lock()
        self._reading = Lock()
        self._last = 0
        self._bounces = 0
        self._glanced: dict[tuple[Term, ...], int] = {}
        # An empty name is a database in a temporary file, of which SQLite keeps a part in memory.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA foreign_keys = ON; {_TABLES}")
        weakref.finalize(self, self._database.close)

    def find(self, terms: Sequence[Term], start: int, limit: int) -> Found:
        """Return what matches all terms, newest first, without the first `start`."""
        self._read_for(terms)
        where, values = where_of(terms)
        with self._lock:
            ((matching, unread),) = self._database.execute(
                f"SELECT count(*), ifnull(sum(read = 0), 0) FROM mail WHERE {where}",  # noqa: S608 - fixed conditions
                values,
            )
            rows = self._database.execute(
                f"SELECT id FROM mail WHERE {where} "  # noqa: S608 - fixed conditions
                "ORDER BY created DESC, id DESC LIMIT ? OFFSET ?",
                (*values, limit, start),
            ).fetchall()
            messages = self._listed([row[0] for row in rows])
        return Found(messages=messages, matching=matching, unread_matching=unread)

    def ids(self, terms: Sequence[Term]) -> tuple[str, ...]:
        """Return the ids of all that match, newest first."""
        self._read_for(terms)
        where, values = where_of(terms)
        with self._lock:
            rows = self._database.execute(
                f"SELECT id FROM mail WHERE {where} ORDER BY created DESC, id DESC",  # noqa: S608 - fixed conditions
                values,
            ).fetchall()
        return tuple(row[0] for row in rows)

    def totals(self) -> Totals:
        """Count everything."""
        with self._lock:
            self._catch_up()
            ((messages, unread),) = self._database.execute(
                "SELECT (SELECT count(*) FROM mail), (SELECT count(*) FROM mail WHERE read = 0)"
            )
            tags = dict(
                self._database.execute(
                    "SELECT min(tag), count(*) FROM tags GROUP BY tag ORDER BY tag"
                ).fetchall()
            )
        return Totals(messages=messages, unread=unread, tags=tags)

    def tags_of(self, message_id: str) -> list[Json]:
        """Return a message's tags, sorted."""
        with self._lock:
            return self._tags_of(message_id)

    def set_read(self, ids: Iterable[str], *, read: bool) -> None:
        """Mark messages as read or unread; ids that are not known change nothing."""
        with self._lock:
            self._catch_up()
            self._database.execute(
                f"UPDATE mail SET read = ? WHERE {_THESE}",  # noqa: S608 - a literal
                (read, json.dumps(list(ids))),
            )

    def set_tags(self, ids: Iterable[str], tags: Iterable[str]) -> None:
        """Give messages these tags in the place of all others."""
        these = json.dumps(list(ids))
        with self._lock:
            self._catch_up()
            self._database.execute(
                "DELETE FROM tags WHERE mail IN (SELECT value FROM json_each(?))", (these,)
            )
            self._database.executemany(
                f"INSERT OR IGNORE INTO tags (mail, tag) SELECT id, ? FROM mail WHERE {_THESE}",  # noqa: S608 - a literal
                [(tag, these) for tag in tags],
            )

    def rename_tag(self, tag: str, name: str | None) -> bool:
        """Rename a tag everywhere, or with None remove it; tell whether any message had it."""
        with self._lock:
            self._catch_up()
            found = self._database.execute("SELECT mail FROM tags WHERE tag = ?", (tag,)).fetchall()
            self._database.execute("DELETE FROM tags WHERE tag = ?", (tag,))
            if name is not None:
                self._database.executemany(
                    "INSERT OR IGNORE INTO tags (mail, tag) VALUES (?, ?)",
                    [(message, name) for (message,) in found],
                )
        return bool(found)

    def _listed(self, ids: Sequence[str]) -> tuple[Json, ...]:
        """Return the entries of these, without those that the journal has lost meanwhile."""
        rows = self._database.execute(
            f"SELECT sequence, id, size FROM mail WHERE summary IS NULL AND {_THESE}",  # noqa: S608 - a literal
            (json.dumps(ids),),
        ).fetchall()
        while rows:
            some = _at_once(rows)
            self._keep(self._rows_of([own for _, own, _ in some]))
            rows = rows[len(some) :]
        found: list[Json] = []
        for own in ids:
            for read, summary in self._database.execute(
                "SELECT read, summary FROM mail WHERE id = ? AND summary IS NOT NULL", (own,)
            ):
                entry: dict[str, Json] = json.loads(summary)
                entry |= {"Read": bool(read), "Tags": self._tags_of(own)}
                found.append({**entry, "Relaylab": self._verdict(own)})
        return tuple(found)

    def _verdict(self, message_id: str) -> Json:
        """Return what became of a message; once that is final, it is not asked for again."""
        ((kept,),) = self._database.execute("SELECT verdict FROM mail WHERE id = ?", (message_id,))
        if kept is not None:
            verdict: Json = json.loads(kept)
            return verdict
        try:
            told = verdict_json(self._journal.message(message_id, sessions=False))
        except NotFound:
            return None
        if told.final:
            self._database.execute(
                "UPDATE mail SET verdict = ? WHERE id = ?", (json.dumps(told.json), message_id)
            )
        return told.json

    def _tags_of(self, message_id: str) -> list[Json]:
        rows = self._database.execute(
            "SELECT tag FROM tags WHERE mail = ? ORDER BY tag", (message_id,)
        )
        return [tag for (tag,) in rows]

    def _read_for(self, terms: Sequence[Term]) -> None:
        """Take in what is new, and read all mail that the terms must be looked for in.

        The other terms say which mail that is, and some needs no more than a glance. While it is
        read, others may list.
        """
        with self._lock:
            self._catch_up()
        if not any(map(asks_content, terms)):
            return
        others = tuple(term for term in terms if not asks_content(term))
        where, values = where_of(others)
        glance = Glance(terms)
        # Flags and tags change, so that another time the same search is for other mail.
        lasts = all(isinstance(term.condition, Limit) for term in others)
        with self._reading:
            last = self._glanced.get(tuple(terms), 0)
            while True:
                with self._lock:
                    self._take_in()
                    rows = self._database.execute(
                        f"SELECT sequence, id, size FROM mail WHERE summary IS NULL AND {where} "  # noqa: S608 - fixed conditions
                        "AND sequence > ? ORDER BY sequence LIMIT ?",
                        (*values, last, _READ_AT_ONCE),
                    ).fetchall()
                if not rows:
                    break
                some = _at_once(rows)
                read = self._rows_of([own for _, own, _ in some], glance)
                with self._lock:
                    self._keep(read)
                last = some[-1][0]
                self._unless_stopped()
            if lasts:
                self._remember(tuple(terms), last)

    def _remember(self, terms: tuple[Term, ...], last: int) -> None:
        """Keep how far a search has looked: what a message says never changes."""
        self._glanced.pop(terms, None)
        self._glanced[terms] = last
        while len(self._glanced) > _SEARCHES:
            del self._glanced[next(iter(self._glanced))]

    def _rows_of(
        self, ids: Sequence[str], glance: Glance | None = None
    ) -> dict[str, MailRow | None]:
        """Read messages, but those that a glance passes over; None for what the journal lost."""
        contents = self._journal.contents(ids)
        found: dict[str, MailRow | None] = {own: None for own in ids if own not in contents}
        if glance is not None and not glance.asks_recipients:
            contents = {
                o: octets for o, octets in contents.items() if not glance.passes_over(octets)
            }
        envelopes = self._journal.envelopes(contents)
        for own, octets in contents.items():
            envelope = envelopes.get(own)
            if envelope is None:
                found[own] = None
            elif glance is None or not glance.passes_over(octets, envelope.recipients):
                found[own] = row_of(envelope, MailMessage(octets))
        return found

    def _keep(self, rows: Mapping[str, MailRow | None]) -> None:
        lost = [own for own, row in rows.items() if row is None]
        with self._database:
            self._database.execute("BEGIN")
            self._database.executemany(
                _KEEP, [(*_VALUES(row), own) for own, row in rows.items() if row is not None]
            )
            self._database.execute(f"DELETE FROM mail WHERE {_THESE}", (json.dumps(lost),))  # noqa: S608 - a literal

    def _catch_up(self) -> None:
        """Take in what the journal has got since, and drop what it has lost."""
        self._take_in()
        # Counted afterwards: what came meanwhile must not look like a loss.
        counts = self._journal.counts()
        if counts.bounces != self._bounces:
            # A bounce may come long after a host has taken the message.
            self._database.execute("UPDATE mail SET verdict = NULL")
            self._bounces = counts.bounces
        ((known,),) = self._database.execute("SELECT count(*) FROM mail")
        if known > counts.messages:
            self._drop_lost()

    def _take_in(self) -> None:
        while new := self._journal.arrivals(_TAKEN_AT_ONCE, after=self._last):
            with self._database:
                self._database.execute("BEGIN")
                self._database.executemany(
                    "INSERT INTO mail (sequence, id, created, size) VALUES (?, ?, ?, ?)",
                    [(m.sequence, m.id, to_microseconds(m.received_at), m.size) for m in new],
                )
            self._last = new[-1].sequence
            self._unless_stopped()

    def _drop_lost(self) -> None:
        known = [own for (own,) in self._database.execute("SELECT sequence FROM mail")]
        kept = frozenset(self._journal.sequences())
        self._database.execute(
            "DELETE FROM mail WHERE sequence IN (SELECT value FROM json_each(?))",
            (json.dumps([own for own in known if own not in kept]),),
        )

    def _unless_stopped(self) -> None:
        if self._stopped():
            raise JournalUnavailable("the relay stops")


def _at_once(rows: Sequence[tuple[int, str, int]]) -> Sequence[tuple[int, str, int]]:
    """Return the first of some rows, as many as are read together; the size stands last."""
    octets = accumulate(size for _, _, size in rows)
    fitting = sum(1 for _ in takewhile(lambda so_far: so_far <= _OCTETS_AT_ONCE, octets))
    return rows[: max(fitting, 1)]
