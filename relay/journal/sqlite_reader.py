"""The reader: queries on a read-only connection, beside whoever writes."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any, Final, TypeVar

from relay.core.contacts import AddressBounce
from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.core.salesforce import MatchingRecords
from relay.core.salesforce_view import BounceKind
from relay.journal.api import (
    Arrival,
    Counts,
    DueRecipient,
    JournalError,
    JournalReader,
    MessageRecord,
    MessageSummary,
    NotFound,
    RecipientState,
)
from relay.journal.bodies import BodyFiles, name_of
from relay.journal.codec import decode, from_microseconds, to_microseconds
from relay.journal.keys import domain_key, domain_of, storable
from relay.journal.row_reading import (
    Query,
    end_of_list,
    records_of,
    resolve,
    summaries,
    whole_records,
)
from relay.journal.schema import connect_reader
from relay.journal.sqlite_errors import journal_error

_R = TypeVar("_R", Envelope, Session, Attempt, Bounce)
_CODE: Final = re.compile(r"(\d{3})?\s*(\d\.\d{1,3}\.\d{1,3})?")


def open_reader(path: Path) -> JournalReader:
    """Open the journal at `path` to read it, in any process and beside its writer.

    Raises NoJournal where there is none, JournalVersion for another version's, or JournalError.
    """
    return SqliteReader(path)


class SqliteReader:
    """Reads a journal; may be used from several threads. `open_reader` says what it raises."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection = connect_reader(path)
        self._files = BodyFiles(path)
        self._lock = Lock()

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def messages(
        self,
        limit: int,
        *,
        before: str | None = None,
        recipient: str | None = None,
        domain: str | None = None,
        state: RecipientState | None = None,
    ) -> tuple[MessageSummary, ...]:
        filters: list[tuple[str, str]] = []
        if domain is not None:
            filters.append(("domain = ?", domain_key(domain)))
        if recipient is not None:
            filters.append(("address = ? COLLATE NOCASE", storable(recipient)))
        if state is not None:
            filters.append(("state = ?", state.value))
        with self._snapshot() as query:
            end = end_of_list(query, "messages", before)
            if filters:
                where = " AND ".join(condition for condition, _ in filters)
                rows = query(
                    f"""
                    SELECT m.sequence, m.record FROM (
                        SELECT DISTINCT message FROM recipients WHERE {where} AND message < ?
                        ORDER BY message DESC LIMIT ?
                    ) JOIN messages m ON m.sequence = message
                    """,  # noqa: S608 - of the conditions above
                    *(value for _, value in filters),
                    end,
                    limit,
                )
                rows.sort(reverse=True)
            else:
                rows = query(
                    "SELECT sequence, record FROM messages WHERE sequence < ? "
                    "ORDER BY sequence DESC LIMIT ?",
                    end,
                    limit,
                )
            return summaries(query, rows)

    def message(self, message_id: str, *, sessions: bool = True) -> MessageRecord:
        with self._snapshot() as query:
            sequence = resolve(query, "messages", message_id)
            ((envelope_text,),) = query("SELECT record FROM messages WHERE sequence = ?", sequence)
            (record,) = whole_records(query, [(sequence, envelope_text)], sessions=sessions)
        return record

    def records(
        self,
        limit: int,
        *,
        after: str | None = None,
        since: datetime | None = None,
        events: bool = False,
        sessions: bool = True,
    ) -> tuple[MessageRecord, ...]:
        with self._snapshot() as query:
            begin = 0 if after is None else resolve(query, "messages", after)
            if after is None and since is not None:
                first = _first_since(query, since, events=events)
                if first is None:
                    return ()
                begin = first - 1
            rows = query(
                "SELECT sequence, record FROM messages WHERE sequence > ? "
                "ORDER BY sequence LIMIT ?",
                begin,
                limit,
            )
            return whole_records(query, rows, sessions=sessions)

    def arrivals(self, limit: int, *, after: int = 0) -> tuple[Arrival, ...]:
        with self._snapshot() as query:
            rows = query(
                "SELECT sequence, id, json_extract(record, '$.received_at'), "
                "json_extract(record, '$.size') FROM messages WHERE sequence > ? "
                "ORDER BY sequence LIMIT ?",
                after,
                limit,
            )
        return tuple(
            Arrival(sequence=sequence, id=own, received_at=datetime.fromisoformat(at), size=size)
            for sequence, own, at, size in rows
        )

    def sequences(self) -> tuple[int, ...]:
        with self._snapshot() as query:
            # In no order, so that SQLite reads the smallest index and not the records.
            return tuple(sorted(sequence for (sequence,) in query("SELECT sequence FROM messages")))

    def envelopes(self, message_ids: Collection[str]) -> dict[str, Envelope]:
        with self._snapshot() as query:
            rows = query(
                "SELECT id, record FROM messages WHERE id IN (SELECT value FROM json_each(?))",
                json.dumps([*message_ids]),
            )
        return {own: decode(Envelope, record) for own, record in rows}

    def content(self, message_id: str) -> bytes:
        with self._snapshot() as query:
            sequence = resolve(query, "messages", message_id)
            found = query("SELECT content FROM contents WHERE message = ?", sequence)
            if found:
                return bytes(found[0][0])
            ((own,),) = query("SELECT id FROM messages WHERE sequence = ?", sequence)
            name = name_of(query.connection, sequence)
        try:
            if name is not None:
                return self._files.read(name)
        except FileNotFoundError:
            with self._snapshot() as query:
                # It may have been deleted since it was looked up: then it is not found.
                resolve(query, "messages", own)
        raise JournalError(f"message {own} has no body; `relay journal check` tells more")

    def contents(self, message_ids: Collection[str]) -> dict[str, bytes]:
        with self._snapshot() as query:
            rows = query(
                "SELECT m.id, c.content FROM messages m "
                "LEFT JOIN contents c ON c.message = m.sequence "
                "WHERE m.id IN (SELECT value FROM json_each(?))",
                json.dumps([*message_ids]),
            )
        found: dict[str, bytes] = {}
        for own, stored in rows:
            with suppress(NotFound):
                found[own] = self.content(own) if stored is None else stored
        return found

    def find_by_message_id_header(self, value: str) -> str | None:
        with self._snapshot() as query:
            rows = query(
                "SELECT id FROM messages WHERE message_id_header = ? "
                "ORDER BY sequence DESC LIMIT 1",
                storable(value),
            )
        return str(rows[0][0]) if rows else None

    def attempts_of(self, message_id: str, recipient: str) -> tuple[Attempt, ...]:
        with self._snapshot() as query:
            sequence = resolve(query, "messages", message_id)
            attempts = records_of(query, Attempt, [sequence])[sequence]
        return tuple(a for a in attempts if any(o.recipient == recipient for o in a.outcomes))

    def attempts_to(self, domain: str, *, messages: int) -> tuple[Attempt, ...]:
        key = domain_key(domain)
        with self._snapshot() as query:
            rows = query(
                "SELECT record FROM attempts WHERE message IN ("
                "SELECT DISTINCT message FROM recipients WHERE domain = ? "
                "ORDER BY message DESC LIMIT ?) ORDER BY sequence",
                key,
                messages,
            )
        # A message may have gone to other domains as well; one attempt concerns one domain.
        return tuple(
            a
            for a in _decoded(Attempt, rows)
            if any(domain_of(o.recipient) == key for o in a.outcomes)
        )

    def bounces(
        self,
        limit: int,
        *,
        before: str | None = None,
        recipient: str | None = None,
        domain: str | None = None,
        code: str | None = None,
    ) -> tuple[Bounce, ...]:
        conditions, values = ["sequence < ?"], []
        if domain is not None:
            conditions.append("domain = ?")
            values.append(domain_key(domain))
        if recipient is not None:
            conditions.append("address = ? COLLATE NOCASE")
            values.append(storable(recipient))
        if code is not None:
            for column, part in zip(("code", "enhanced"), code_parts(code), strict=True):
                if part:
                    conditions.append(f"{column} = ?")
                    values.append(part)
        with self._snapshot() as query:
            rows = query(
                f"SELECT record FROM bounces WHERE {' AND '.join(conditions)} "  # noqa: S608 - the conditions above
                "ORDER BY sequence DESC LIMIT ?",
                end_of_list(query, "bounces", before),
                *values,
                limit,
            )
        return _decoded(Bounce, rows)

    def bounce(self, bounce_id: str) -> Bounce:
        with self._snapshot() as query:
            sequence = resolve(query, "bounces", bounce_id)
            rows = query("SELECT record FROM bounces WHERE sequence = ?", sequence)
        return _decoded(Bounce, rows)[0]

    def bounced_messages(self) -> frozenset[str]:
        with self._snapshot() as query:
            rows = query(
                "SELECT m.id FROM messages m WHERE m.sequence IN (SELECT message FROM bounces "
                "WHERE json_extract(record, '$.salesforce.is_bounced'))"
            )
        return frozenset(own for (own,) in rows)

    def address_bounces(self, recipient: str | None = None) -> tuple[AddressBounce, ...]:
        one, values = "", []
        if recipient is not None:
            one, values = "AND address = ? COLLATE NOCASE", [storable(recipient)]
        with self._snapshot() as query:
            rows = query(
                f"""
                SELECT id, address,
                    json_extract(record, '$.salesforce.email_bounced_date'),
                    json_extract(record, '$.salesforce.email_bounced_reason'),
                    json_extract(record, '$.salesforce.kind'),
                    json_extract(record, '$.salesforce.contact_flagged'),
                    json_extract(record, '$.salesforce.matching_records')
                FROM bounces WHERE json_extract(record, '$.salesforce.is_bounced') {one}
                ORDER BY sequence
                """,  # noqa: S608 - a literal
                *values,
            )
        return tuple(
            AddressBounce(
                bounce_id=bounce_id,
                recipient=address,
                at=datetime.fromisoformat(at),
                reason=reason,
                kind=BounceKind(kind),
                flags=bool(flags),
                matching_records=MatchingRecords(matching),
            )
            for bounce_id, address, at, reason, kind, flags, matching in rows
        )

    def sessions(self, limit: int, *, before: str | None = None) -> tuple[Session, ...]:
        with self._snapshot() as query:
            rows = query(
                "SELECT record FROM sessions WHERE sequence < ? ORDER BY sequence DESC LIMIT ?",
                end_of_list(query, "sessions", before),
                limit,
            )
        return _decoded(Session, rows)

    def session(self, session_id: str) -> Session:
        with self._snapshot() as query:
            sequence = resolve(query, "sessions", session_id)
            rows = query("SELECT record FROM sessions WHERE sequence = ?", sequence)
        return _decoded(Session, rows)[0]

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        not_messages: Collection[str] = (),
        not_domains: Collection[str] = (),
    ) -> tuple[DueRecipient, ...]:
        with self._snapshot() as query:
            rows = query(
                "SELECT m.id, r.address, r.next_at, json_extract(m.record, '$.size') "
                "FROM recipients r INDEXED BY recipients_due "
                "JOIN messages m ON m.sequence = r.message "
                "WHERE r.state = 'queued' AND r.next_at <= ? "
                "AND m.id NOT IN (SELECT value FROM json_each(?)) "
                "AND r.domain NOT IN (SELECT value FROM json_each(?)) "
                "ORDER BY r.next_at LIMIT ?",
                to_microseconds(now),
                json.dumps([*not_messages]),
                json.dumps([domain_key(domain) for domain in not_domains]),
                limit,
            )
        return tuple(
            DueRecipient(
                message_id=message,
                recipient=address,
                next_at=from_microseconds(at),
                octets=int(octets),
            )
            for message, address, at, octets in rows
        )

    def counts(self) -> Counts:
        with self._snapshot() as query:
            ((messages, sessions, attempts, bounces),) = query(
                "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM sessions), "
                "(SELECT count(*) FROM attempts), (SELECT count(*) FROM bounces)"
            )
            states = dict(query("SELECT state, count(*) FROM recipients GROUP BY state"))
        return Counts(
            messages=messages,
            sessions=sessions,
            attempts=attempts,
            bounces=bounces,
            recipients={state: states.get(state.value, 0) for state in RecipientState},
        )

    @contextmanager
    def _snapshot(self) -> Iterator[Query]:
        """Hand out a function that queries one consistent state of the journal."""
        with self._lock:
            try:
                self._connection.execute("BEGIN")
                try:
                    yield Query(self._connection)
                finally:
                    self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise journal_error(error, self._path) from error


def _first_since(query: Query, since: datetime, *, events: bool) -> int | None:
    """Return the sequence number of the first message that was received since, None for none.

    With `events`, of which anything happened since.
    """
    # Without the plus sign, SQLite walks the table up to the first that fits.
    found = ["SELECT min(+sequence) FROM messages WHERE json_extract(record, '$.received_at') >= ?"]
    if events:
        found += [
            "SELECT min(message) FROM attempts WHERE json_extract(record, '$.ended_at') >= ?",
            "SELECT min(message) FROM bounces WHERE json_extract(record, '$.at') >= ?",
        ]
    moment = since.astimezone(UTC).isoformat()
    firsts = [query(sql, moment)[0][0] for sql in found]
    return min((int(first) for first in firsts if first is not None), default=None)


def code_parts(code: str) -> tuple[str | None, str | None]:
    """Return the reply code and the enhanced code of a filter; ValueError where it has neither."""
    found = _CODE.fullmatch(code.strip())
    if not found or not code.strip():
        raise ValueError(f"{code!r} is not a code such as 451, 4.7.5 or '451 4.7.5'")
    return found[1], found[2]


def _decoded(kind: type[_R], rows: Sequence[tuple[Any, ...]]) -> tuple[_R, ...]:
    return tuple(decode(kind, record) for (record,) in rows)
