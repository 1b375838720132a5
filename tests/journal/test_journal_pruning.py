"""What may go by count and age: settled mail, oldest first, never what waits for a try."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from journal_records import NOON, a_bounce, a_message, a_session, an_attempt

from relay.core.ids import make_id
from relay.core.records import Session, SessionDirection
from relay.journal.api import Batch, JournalReader, NewMessage, RecipientState, RecipientUpdate
from relay.journal.pruning import PORTION, PORTION_OCTETS, Keep, PruneReader
from relay.journal.sqlite_journal import SqliteJournal, open_journal

SENT, QUEUED = RecipientState.DELIVERED, RecipientState.QUEUED


def opened(path: Path) -> SqliteJournal:
    return open_journal(path / "j.sqlite3", bounce_lines=None)


def delivered(*numbers: int) -> tuple[NewMessage, ...]:
    return tuple(a_message(n, state=SENT) for n in numbers)


def inbound(own: str, *, ended: int) -> Session:
    """A session that began at noon or whenever its id says, and ended so many seconds after it."""
    return a_session(
        id=own,
        direction=SessionDirection.INBOUND,
        hop=None,
        evidence=None,
        ended_at=NOON + timedelta(seconds=ended),
    )


async def prune(path: Path, journal: SqliteJournal, keep: Keep, *, seconds: int = 0) -> int:
    """Delete all that may go; return in how many portions."""
    portions = 0
    with closing(PruneReader(path / "j.sqlite3")) as reader:
        while found := reader.prunable(keep, NOON + timedelta(seconds=seconds)):
            await journal.writer.write(Batch(deletions=(found,)))
            portions += 1
    return portions


def kept(reader: JournalReader) -> list[int]:
    return [int(m.envelope.id[1:]) for m in reader.messages(10_000)]


async def test_the_newest_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.writer.write(Batch(messages=delivered(1, 2, 3, 4, 5)))
        await prune(tmp_path, journal, Keep(messages=2))
        assert kept(journal.reader) == [5, 4]
        assert await prune(tmp_path, journal, Keep(messages=2)) == 0


async def test_fewer_than_the_bound_all_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        assert await prune(tmp_path, journal, Keep(messages=2)) == 0
        await journal.writer.write(Batch(messages=delivered(1, 2)))
        assert await prune(tmp_path, journal, Keep(messages=2)) == 0


async def test_what_is_older_goes_and_both_bounds_hold(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.writer.write(Batch(messages=delivered(1, 2, 3, 4, 5)))
        await prune(tmp_path, journal, Keep(age=timedelta(seconds=7)), seconds=9)
        assert kept(journal.reader) == [5, 4, 3, 2]
        both = Keep(messages=2, age=timedelta(seconds=7))
        await prune(tmp_path, journal, both, seconds=9)
        assert kept(journal.reader) == [5, 4]
        both = Keep(messages=2, age=timedelta(seconds=1))
        await prune(tmp_path, journal, both, seconds=6)
        assert kept(journal.reader) == [5]


@pytest.mark.parametrize("state", [QUEUED, RecipientState.INLINE])
async def test_a_message_that_one_recipient_still_waits_for_stays(
    tmp_path: Path, state: RecipientState
) -> None:
    due = NOON if state is QUEUED else None
    both = ("u@bank.test", "v@bank.test")
    async with opened(tmp_path) as journal:
        waiting = a_message(1, state=state, next_at=due, recipients=both)
        await journal.writer.write(Batch(messages=(waiting, *delivered(2, 3))))
        settled = [
            RecipientUpdate(message_id=waiting.envelope.id, recipient=r, state=SENT, next_at=None)
            for r in both
        ]
        await journal.writer.write(Batch(updates=(settled[0],)))
        await prune(tmp_path, journal, Keep(messages=1))
        assert kept(journal.reader) == [3, 1]
        assert len(journal.reader.content(waiting.envelope.id)) == 18
        await journal.writer.write(Batch(updates=(settled[1],)))
        await prune(tmp_path, journal, Keep(messages=1))
        assert kept(journal.reader) == [3]


async def test_all_that_is_known_of_it_goes_along_and_its_session(tmp_path: Path) -> None:
    early, late = make_id(NOON, 1), make_id(NOON, 2)
    unused, coming = make_id(NOON, 3), make_id(NOON + timedelta(seconds=5), 4)
    async with opened(tmp_path) as journal:
        await journal.writer.write(
            Batch(
                messages=(
                    a_message(1, state=RecipientState.FAILED, session_id=early),
                    a_message(2, state=SENT, session_id=late),
                ),
                sessions=(
                    inbound(early, ended=1),
                    inbound(late, ended=2),
                    inbound(unused, ended=1),
                    inbound(coming, ended=5),
                    a_session(1),
                    a_session(2),
                ),
                attempts=(an_attempt(1, message=1), an_attempt(2, message=2)),
                bounces=(a_bounce(1, message=1),),
            )
        )
        await prune(tmp_path, journal, Keep(messages=1))
        reader = journal.reader
        assert {s.id for s in reader.sessions(10)} == {late, coming, a_session(2).id}
        assert [a.id for a in reader.message("latest").attempts] == [an_attempt(2).id]
        assert reader.bounces(10) == ()


async def test_an_inbound_session_stays_as_long_as_any_of_its_messages(tmp_path: Path) -> None:
    waited, long = make_id(NOON, 1), make_id(NOON, 2)
    queued = a_message(1, state=QUEUED, next_at=NOON, session_id=waited)
    async with opened(tmp_path) as journal:
        await journal.writer.write(
            Batch(
                messages=(
                    a_message(0, state=QUEUED, next_at=NOON, session_id=None),
                    queued,
                    a_message(2, state=SENT, session_id=waited),
                    a_message(3, state=SENT, session_id=long),
                    a_message(4, state=SENT, session_id=long),
                    a_message(5, state=SENT),
                ),
                sessions=(inbound(waited, ended=2), inbound(long, ended=4)),
            )
        )

        async def left(messages: int) -> tuple[list[int], set[str]]:
            await prune(tmp_path, journal, Keep(messages=messages))
            return kept(journal.reader), {s.id for s in journal.reader.sessions(10)}

        assert await left(2) == ([5, 4, 1, 0], {waited, long})
        assert await left(1) == ([5, 1, 0], {waited})
        settled = RecipientUpdate(
            message_id=queued.envelope.id,
            recipient=queued.envelope.recipients[0],
            state=SENT,
            next_at=None,
        )
        await journal.writer.write(Batch(updates=(settled,)))
        assert await left(1) == ([5, 0], set())


async def test_a_portion_is_bounded_in_messages_and_in_octets(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.writer.write(Batch(messages=delivered(*range(1, 2 * PORTION + 2))))
        assert await prune(tmp_path, journal, Keep(messages=1)) == 2
        big = tuple(a_message(n, state=SENT, size=PORTION_OCTETS) for n in range(1000, 1004))
        await journal.writer.write(Batch(messages=big))
        assert await prune(tmp_path, journal, Keep(messages=1)) == 3
        assert kept(journal.reader) == [1003]


async def test_what_may_go_is_found_by_index(tmp_path: Path) -> None:
    plans: list[str] = []
    async with opened(tmp_path) as journal:
        await journal.writer.write(Batch(messages=delivered(1, 2, 3)))
        with closing(PruneReader(tmp_path / "j.sqlite3")) as reader:
            statements: list[str] = []
            reader._connection.set_trace_callback(statements.append)
            assert reader.prunable(Keep(messages=1), NOON) is not None
        with closing(sqlite3.connect(tmp_path / "j.sqlite3")) as connection:
            for statement in statements:
                if statement.startswith("SELECT"):
                    rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}")
                    plans += [row[3] for row in rows]
    assert plans
    assert [plan for plan in plans if "USING" not in plan and "SUBQUERY" not in plan] == []


@pytest.mark.parametrize("bad", [{"messages": 0}, {"age": timedelta(0)}])
def test_a_bound_of_nought_is_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="keeps"):
        Keep(**bad)  # type: ignore[arg-type]


def test_no_bound_keeps_everything() -> None:
    assert Keep().everything
    assert not Keep(messages=1).everything
    assert not Keep(age=timedelta(days=1)).everything
