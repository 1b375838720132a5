"""The messages of the journal as Mailpit lists and searches them.

A private SQLite database, filled from the journal when somebody asks and gone with the program:

    mail    one row for each message, with what is searched, and whether it was read
    tags    which message has which tag

Read flags and tags are Mailpit's alone and no part of the journal. What is searched for reaches
SQLite as parameters.
"""

from __future__ import annotations

import json
import sqlite3
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Final

from relay.core.jsonform import Json
from relay.core.records import Envelope
from relay.journal.api import JournalReader, JournalUnavailable, NotFound
from relay.journal.codec import to_microseconds
from relay.journal.keys import storable
from relay.web.mailpit_message import MailMessage
from relay.web.mailpit_search import Term, searchable
from relay.web.mailpit_sql import where_of
from relay.web.mailpit_words import bcc_of, summary_json, verdict_json

_PAGE: Final = 500
_TRIES: Final = 5
_TABLES: Final = """
CREATE TABLE mail (
    id TEXT PRIMARY KEY,
    created INTEGER NOT NULL,
    size INTEGER NOT NULL,
    attachments INTEGER NOT NULL,
    inline INTEGER NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    cc TEXT NOT NULL,
    bcc TEXT NOT NULL,
    reply_to TEXT NOT NULL,
    subject TEXT NOT NULL,
    message_id TEXT NOT NULL,
    words TEXT NOT NULL,
    summary TEXT NOT NULL,
    verdict TEXT,
    read INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX mail_by_time ON mail (created, id);
CREATE INDEX mail_unread ON mail (read) WHERE read = 0;
CREATE TABLE tags (
    mail TEXT NOT NULL REFERENCES mail (id) ON DELETE CASCADE,
    tag TEXT NOT NULL COLLATE NOCASE,
    PRIMARY KEY (mail, tag)
) WITHOUT ROWID;
"""
_INSERT: Final = (
    "INSERT INTO mail (id, created, size, attachments, inline, sender, recipients, cc, "
    "bcc, reply_to, subject, message_id, words, summary) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?)"
)
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
        self._bounces = 0
        # An empty name is a database in a temporary file, of which SQLite keeps a part in memory.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.executescript(f"PRAGMA foreign_keys = ON; {_TABLES}")
        weakref.finalize(self, self._database.close)

    def find(self, terms: Sequence[Term], start: int, limit: int) -> Found:
        """Return what matches all terms, newest first, without the first `start`."""
        where, values = where_of(terms)
        with self._lock:
            self._catch_up()
            ((matching, unread),) = self._database.execute(
                f"SELECT count(*), ifnull(sum(read = 0), 0) FROM mail WHERE {where}",  # noqa: S608 - fixed conditions
                values,
            )
            rows = self._database.execute(
                f"SELECT id, read, summary FROM mail WHERE {where} "  # noqa: S608 - fixed conditions
                "ORDER BY created DESC, id DESC LIMIT ? OFFSET ?",
                (*values, limit, start),
            ).fetchall()
            messages = tuple(self._listed(*row) for row in rows)
        return Found(messages=messages, matching=matching, unread_matching=unread)

    def ids(self, terms: Sequence[Term]) -> tuple[str, ...]:
        """Return the ids of all that match, newest first."""
        where, values = where_of(terms)
        with self._lock:
            self._catch_up()
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

    def _listed(self, message_id: str, read: int, summary: str) -> Json:
        found: dict[str, Json] = json.loads(summary)
        return {
            **found,
            "Read": bool(read),
            "Tags": self._tags_of(message_id),
            "Relaylab": self._verdict(message_id),
        }

    def _verdict(self, message_id: str) -> Json:
        """Return what became of a message; once that is final, it is not asked for again."""
        ((kept,),) = self._database.execute("SELECT verdict FROM mail WHERE id = ?", (message_id,))
        if kept is not None:
            verdict: Json = json.loads(kept)
            return verdict
        try:
            told = verdict_json(self._journal.message(message_id))
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

    def _catch_up(self) -> None:
        """Take in what the journal has got since, and drop what it has lost."""
        for _ in range(_TRIES):
            try:
                self._compare()
            except NotFound:
                # The message that a page begins behind was deleted meanwhile.
                continue
            return
        raise JournalUnavailable("the journal changes faster than it can be listed")

    def _compare(self) -> None:
        self._take_new()
        # Counted afterwards: what came meanwhile must not look like a loss.
        counts = self._journal.counts()
        if counts.bounces != self._bounces:
            # A bounce may come long after a host has taken the message.
            self._database.execute("UPDATE mail SET verdict = NULL")
            self._bounces = counts.bounces
        ((known,),) = self._database.execute("SELECT count(*) FROM mail")
        if known > counts.messages:
            self._drop_lost()

    def _take_new(self) -> None:
        """Take all that are newer than any that is known; all of them or none."""
        self._database.execute("BEGIN")
        try:
            before: str | None = None
            limit = 1
            while page := self._journal.messages(limit, before=before):
                for summary in page:
                    if not self._take(summary.envelope):
                        self._database.execute("COMMIT")
                        return
                if self._stopped():
                    raise JournalUnavailable("the relay stops")
                before, limit = page[-1].envelope.id, _PAGE
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _take(self, envelope: Envelope) -> bool:
        """Take a message in; return False where it was known."""
        known = "SELECT 1 FROM mail WHERE id = ?"
        if self._database.execute(known, (envelope.id,)).fetchone() is not None:
            return False
        try:
            content = self._journal.content(envelope.id)
        except NotFound:
            # It was deleted a moment ago.
            return True
        self._database.execute(_INSERT, _row(envelope, MailMessage(content)))
        return True

    def _drop_lost(self) -> None:
        kept: list[str] = []
        before: str | None = None
        while page := self._journal.messages(_PAGE, before=before):
            kept += [summary.envelope.id for summary in page]
            before = page[-1].envelope.id
        self._database.execute(f"DELETE FROM mail WHERE NOT {_THESE}", (json.dumps(kept),))  # noqa: S608 - a literal


def _row(envelope: Envelope, message: MailMessage) -> tuple[str | int, ...]:
    bcc = bcc_of(envelope, message)
    columns = {
        "sender": [message.sender],
        "recipients": message.addresses("To"),
        "cc": message.addresses("Cc"),
        "bcc": bcc,
        "reply_to": message.addresses("Reply-To"),
    }
    addresses = {name: searchable(_spelled(found)) for name, found in columns.items()}
    subject = searchable(message.header("Subject"))
    names = " ".join(part.file_name for part in message.attachments)
    words = " ".join((*addresses.values(), subject, searchable(f"{message.text} {names}")))
    texts = (
        *addresses.values(),
        subject,
        searchable(message.header("Message-ID")),
        words,
        json.dumps(summary_json(envelope, message)),
    )
    return (
        envelope.id,
        to_microseconds(envelope.received_at),
        envelope.size,
        len(message.attachments),
        len(message.inline),
        *map(storable, texts),
    )


def _spelled(addresses: Iterable[Json]) -> str:
    return " ".join(
        f"{found['Name']} {found['Address']}" for found in addresses if isinstance(found, dict)
    )
