"""What a journal may forget by count and age: settled mail, oldest first, in small portions.

Both rules come down to one moment: what was received before it may go. A message goes only when no
recipient of it waits for a try or is in hand, and takes all that is known of it along. Inbound
sessions that ended before that moment go when no message of before it is left that came in by them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate, takewhile
from typing import Final

from relay.core.ids import make_id
from relay.journal.api import Deletion
from relay.journal.row_reading import Query
from relay.journal.sqlite_reader import SqliteReader

PORTION: Final = 100
"""Messages that go in one transaction at most, and sessions."""
PORTION_OCTETS: Final = 4 * 1024 * 1024
"""Octets of content at which a portion ends: SQLite overwrites what it deletes."""

_NEWEST: Final = (
    "SELECT json_extract(record, '$.received_at') FROM messages "
    "ORDER BY json_extract(record, '$.received_at') DESC LIMIT 1 OFFSET ?"
)
_SETTLED: Final = (
    "SELECT m.id, json_extract(m.record, '$.size') FROM messages m "
    "WHERE json_extract(m.record, '$.received_at') < ? "
    "AND NOT EXISTS (SELECT 1 FROM recipients r "
    "WHERE r.message = m.sequence AND r.state IN ('queued', 'inline')) "
    "ORDER BY json_extract(m.record, '$.received_at') LIMIT ?"
)
_LEFT_SESSIONS: Final = (
    "SELECT s.id FROM sessions s WHERE s.id < ? "
    "AND json_extract(s.record, '$.direction') = 'inbound' "
    "AND json_extract(s.record, '$.ended_at') < ? "
    "AND s.id NOT IN (SELECT json_extract(m.record, '$.session_id') FROM messages m "
    "WHERE json_extract(m.record, '$.received_at') < ? "
    "AND json_extract(m.record, '$.session_id') IS NOT NULL) "
    "ORDER BY s.id LIMIT ?"
)
"""A session that ended before a moment has no messages of a later one: they need no look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    """How much is kept: the newest `messages`, and what is younger than `age`.

    None sets no bound; with both, a message goes as soon as one of them says so. ValueError where
    a bound is not above nought.
    """

    messages: int | None = None
    age: timedelta | None = None

    def __post_init__(self) -> None:
        if self.messages is not None and self.messages < 1:
            raise ValueError(f"a journal keeps at least one message, not {self.messages}")
        if self.age is not None and self.age <= timedelta(0):
            raise ValueError(f"a journal keeps what is younger than some time, not {self.age}")

    @property
    def everything(self) -> bool:
        """Whether nothing ever goes."""
        return self.messages is None and self.age is None


class PruneReader(SqliteReader):
    """A reader that finds what may go. `open_reader` says what opening raises."""

    def prunable(self, keep: Keep, now: datetime) -> Deletion | None:
        """Return the oldest portion of what may go by now; None where nothing may."""
        with self._snapshot() as query:
            until = _until(query, keep, now)
            if until is None:
                return None
            rows = query(_SETTLED, until, PORTION)
            octets = accumulate((int(size) for _, size in rows), initial=0)
            # The first one always goes, however big it is.
            fitting = takewhile(lambda pair: pair[1] < PORTION_OCTETS, zip(rows, octets))  # noqa: B905
            messages = tuple(own for (own, _), _ in fitting)
            # While more settled mail is left than this, sessions wait: their messages go first.
            sessions = _left_sessions(query, until) if len(rows) < PORTION else ()
        return Deletion(messages=messages, sessions=sessions) if messages or sessions else None


def _left_sessions(query: Query, until: str) -> tuple[str, ...]:
    began = make_id(datetime.fromisoformat(until), 0)
    return tuple(own for (own,) in query(_LEFT_SESSIONS, began, until, until, PORTION))


def _until(query: Query, keep: Keep, now: datetime) -> str | None:
    """Return the moment before which all may go, as records write it."""
    bounds: list[str] = []
    if keep.age is not None:
        bounds.append((now - keep.age).astimezone(UTC).isoformat())
    if keep.messages is not None:
        bounds += [str(at) for (at,) in query(_NEWEST, keep.messages - 1)]
    return max(bounds, default=None)
