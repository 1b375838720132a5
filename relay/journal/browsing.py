"""What pages and the API ask of the journal besides the one record: lists by any mark, and events.

    accepted (a message)  ─┐
    attempted (an attempt) ├─ one stream in the order of time; a `Position` says how far it was read
    bounced (a bounce)    ─┘

Events are no records of their own: the journal has them all, so that a reader who was away reads on
from its position.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, Self

from relay.core.addresses import Domain
from relay.core.records import Attempt, Bounce, Envelope, Session, SessionDirection
from relay.journal.api import MessageRecord, MessageSummary, RecipientStatus
from relay.journal.codec import decode
from relay.journal.keys import domain_key
from relay.journal.row_reading import (
    Query,
    end_of_list,
    resolve,
    statuses_of,
    summaries,
    whole_records,
)
from relay.journal.searching import (
    ALL,
    HandshakeKind,
    MessageFilter,
    Newest,
    OutcomeKind,
    condition_of,
)
from relay.journal.sqlite_reader import SqliteReader

_POSITION: Final = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,18})")


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainCount:
    """A recipients' domain, how many messages went there, and the newest one's id."""

    domain: Domain
    messages: int
    latest: str


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Position:
    """How far the stream of events was read: the last sequence number of each table."""

    messages: int = 0
    attempts: int = 0
    bounces: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read what `str` wrote; raise ValueError for anything else."""
        found = _POSITION.fullmatch(text.strip())
        if found is None:
            raise ValueError("a position of the stream looks like 12-40-3")
        return cls(messages=int(found[1]), attempts=int(found[2]), bounces=int(found[3]))

    def __str__(self) -> str:
        return f"{self.messages}-{self.attempts}-{self.bounces}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One record of the stream, and the position behind it."""

    position: Position
    record: Envelope | Attempt | Bounce


_TABLES: Final = ("messages", "attempts", "bounces")
_TIMES: Final = {"messages": "$.received_at", "attempts": "$.ended_at", "bounces": "$.at"}


def open_browser(path: Path) -> SqliteBrowser:
    """Open the journal at `path` with a connection of its own; raises as `open_reader` does."""
    return SqliteBrowser(path)


class SqliteBrowser(SqliteReader):
    """A reader that also searches, and reads events. May be used from several threads."""

    def find_messages(
        self, limit: int, wanted: MessageFilter = ALL, *, before: str | None = None
    ) -> tuple[MessageSummary, ...]:
        """List messages, the newest first; ValueError where `code` is none."""
        with self._snapshot() as query:
            return summaries(query, _wanted(query, limit, wanted, before))

    def find_records(
        self, limit: int, wanted: MessageFilter = ALL, *, before: str | None = None
    ) -> tuple[MessageRecord, ...]:
        """List messages as `find_messages` does, with their attempts and bounces, no sessions."""
        with self._snapshot() as query:
            return whole_records(query, _wanted(query, limit, wanted, before), sessions=False)

    def find_recipients(
        self, wanted: MessageFilter = ALL
    ) -> dict[str, tuple[RecipientStatus, ...]]:
        """Return the ids of all messages that are wanted, each with where its recipients stand."""
        condition, values = condition_of(wanted)
        with self._snapshot() as query:
            rows = query(
                f"SELECT m.sequence, m.id FROM messages m WHERE {condition} ORDER BY m.sequence",  # noqa: S608 - literals
                *values,
            )
            statuses = statuses_of(query, [sequence for sequence, _ in rows])
        return {own: statuses[sequence] for sequence, own in rows}

    def attempts(
        self,
        limit: int,
        *,
        before: str | None = None,
        domain: str | None = None,
        outcome: OutcomeKind | None = None,
    ) -> tuple[Attempt, ...]:
        """List attempts, the newest first, that have a recipient to which all marks apply."""
        conditions, values = ["a.sequence < ?"], []
        marks = []
        if domain is not None:
            # An attempt's recipients share one domain; of their message's, others may not.
            conditions.append(
                "EXISTS (SELECT 1 FROM recipients r WHERE r.message = a.message AND r.domain = ? "
                "AND r.address IN (SELECT json_extract(o.value, '$.recipient') "
                "FROM json_each(a.record, '$.outcomes') o))"
            )
            values.append(domain_key(domain))
        if outcome is not None:
            marks.append("json_extract(o.value, '$.outcome.kind') = ?")
            values.append(outcome.value)
        if marks:
            conditions.append(
                "EXISTS (SELECT 1 FROM json_each(a.record, '$.outcomes') o "  # noqa: S608 - literals
                f"WHERE {' AND '.join(marks)})"
            )
        with self._snapshot() as query:
            rows = query(
                f"SELECT a.record FROM attempts a WHERE {' AND '.join(conditions)} "  # noqa: S608 - literals
                "ORDER BY a.sequence DESC LIMIT ?",
                end_of_list(query, "attempts", before),
                *values,
                limit,
            )
        return tuple(decode(Attempt, record) for (record,) in rows)

    def attempt(self, attempt_id: str) -> Attempt:
        """Return one attempt; raise NotFound."""
        with self._snapshot() as query:
            sequence = resolve(query, "attempts", attempt_id)
            ((record,),) = query("SELECT record FROM attempts WHERE sequence = ?", sequence)
        return decode(Attempt, record)

    def find_sessions(
        self,
        limit: int,
        *,
        before: str | None = None,
        direction: SessionDirection | None = None,
        handshake: HandshakeKind | None = None,
    ) -> tuple[Session, ...]:
        """List sessions, the newest first."""
        conditions, values = ["sequence < ?"], []
        for path, mark in (("$.direction", direction), ("$.evidence.handshake.kind", handshake)):
            if mark is not None:
                conditions.append("json_extract(record, ?) = ?")
                values += [path, mark.value]
        with self._snapshot() as query:
            rows = query(
                f"SELECT record FROM sessions WHERE {' AND '.join(conditions)} "  # noqa: S608 - literals
                "ORDER BY sequence DESC LIMIT ?",
                end_of_list(query, "sessions", before),
                *values,
                limit,
            )
        return tuple(decode(Session, record) for (record,) in rows)

    def domains(self, limit: int, *, offset: int = 0) -> tuple[DomainCount, ...]:
        """List recipients' domains, the one that mail went to last first."""
        with self._snapshot() as query:
            rows = query(
                "SELECT d.domain, d.messages, m.id FROM (SELECT domain, "
                "count(DISTINCT message) AS messages, max(message) AS latest "
                "FROM recipients GROUP BY domain ORDER BY latest DESC LIMIT ? OFFSET ?) d "
                "JOIN messages m ON m.sequence = d.latest ORDER BY d.latest DESC, d.domain",
                limit,
                offset,
            )
        return tuple(
            DomainCount(domain=domain, messages=count, latest=own) for domain, count, own in rows
        )

    def queued(self) -> int:
        """Count the recipients that wait for a try."""
        with self._snapshot() as query:
            ((count,),) = query("SELECT count(*) FROM recipients WHERE state = 'queued'")
        return int(count)

    def position(self, since: datetime | None = None) -> Position:
        """Return the position behind all records, or before the first one of `since` or later."""
        with self._snapshot() as query:
            return Position(**{table: _position(query, table, since) for table in _TABLES})

    def events(
        self,
        after: Position,
        limit: int,
        *,
        message: str | None = None,
        domain: str | None = None,
    ) -> tuple[Event, ...]:
        """Return at most `limit` events behind a position, in the order of time.

        Only those of one `message`, by its id in full, or of messages with a recipient in `domain`.
        """
        with self._snapshot() as query:
            rows = []
            for table in _TABLES:
                condition, values = _concerning(table, message, domain)
                rows += [
                    query(
                        f"SELECT sequence, record, json_extract(record, ?) FROM {table} "  # noqa: S608 - literals
                        f"WHERE sequence > ? AND {condition} ORDER BY sequence LIMIT ?",
                        _TIMES[table],
                        getattr(after, table),
                        *values,
                        limit,
                    )
                ]
        return _merged(after, rows, limit)


_READ: Final[tuple[Callable[[str], Envelope | Attempt | Bounce], ...]] = (
    partial(decode, Envelope),
    partial(decode, Attempt),
    partial(decode, Bounce),
)
"""In the order of `_TABLES`."""


def _wanted(
    query: Query, limit: int, wanted: MessageFilter, before: str | None
) -> list[tuple[int, str]]:
    below = end_of_list(query, "messages", before)
    condition, values = condition_of(wanted, Newest(limit=limit, below=below))
    return [
        (sequence, record)
        for sequence, record in query(
            f"SELECT m.sequence, m.record FROM messages m WHERE m.sequence < ? AND {condition} "  # noqa: S608 - literals
            "ORDER BY m.sequence DESC LIMIT ?",
            below,
            *values,
            limit,
        )
    ]


def _concerning(table: str, message: str | None, domain: str | None) -> tuple[str, list[str]]:
    """Return a condition on a table's rows, and the values of its parameters."""
    column = "sequence" if table == "messages" else "message"
    conditions, values = ["true"], []
    if message is not None:
        conditions.append(f"{column} = (SELECT m.sequence FROM messages m WHERE m.id = ?)")  # noqa: S608
        values.append(message)
    if domain is not None:
        conditions.append(f"{column} IN (SELECT message FROM recipients WHERE domain = ?)")  # noqa: S608
        values.append(domain_key(domain))
    return " AND ".join(conditions), values


def _merged(
    after: Position, rows: Sequence[list[tuple[int, str, str]]], limit: int
) -> tuple[Event, ...]:
    """Merge three lists by time; each keeps its own order, which is that of commits."""
    found: list[Event] = []
    heads = [0, 0, 0]
    while len(found) < limit:
        left = [i for i in range(3) if heads[i] < len(rows[i])]
        if not left:
            break
        # Of the same time, a message comes before its attempts and those before its bounces.
        at = min(left, key=lambda i: (datetime.fromisoformat(rows[i][heads[i]][2]), i))
        sequence, text, _ = rows[at][heads[at]]
        heads[at] += 1
        after = replace(after, **{_TABLES[at]: sequence})
        found.append(Event(position=after, record=_READ[at](text)))
    return tuple(found)


def _position(query: Query, table: str, since: datetime | None) -> int:
    if since is not None:
        ((first,),) = query(
            f"SELECT min(sequence) FROM {table} WHERE json_extract(record, ?) >= ?",  # noqa: S608 - a literal
            _TIMES[table],
            since.astimezone(UTC).isoformat(),
        )
        if first is not None:
            return int(first) - 1
    ((last,),) = query(
        f"SELECT max(ifnull((SELECT max(sequence) FROM {table}), 0), "  # noqa: S608 - a literal
        "ifnull((SELECT sequence FROM highest WHERE name = ?), 0))",
        table,
    )
    return int(last)
