"""Deleting messages: all that is known of them goes, and no number is ever given twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from journal_records import a_bounce, a_message, a_session, an_attempt

from relay.journal.api import Batch, Deletion, NotFound
from relay.journal.sqlite_journal import SqliteJournal, open_journal

M1, M2 = "m0000000000000001", "m0000000000000002"
S1, S2, S9 = "s0000000000000001", "s0000000000000002", "s0000000000000009"


def opened(path: Path) -> SqliteJournal:
    return open_journal(path / "j.sqlite3", bounce_lines=path / "b.jsonl")


async def fill(journal: SqliteJournal) -> None:
    await journal.writer.write(
        Batch(
            messages=(a_message(1), a_message(2, session_id=S9)),
            sessions=(a_session(1), a_session(2), a_session(9)),
            attempts=(
                an_attempt(1, message=1, session_id=S1),
                an_attempt(2, message=2, session_id=S2),
            ),
            bounces=(a_bounce(1, message=1), a_bounce(2, message=2)),
        )
    )


async def test_a_deleted_message_is_gone_with_its_way_and_others_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await fill(journal)
        await journal.writer.write(Batch(deletions=(Deletion(messages=(M2, "unknown")),)))
        reader = journal.reader
        assert [m.envelope.id for m in reader.messages(10)] == [M1]
        for gone in (reader.message, reader.content):
            with pytest.raises(NotFound):
                gone(M2)
        assert [b.message_id for b in reader.bounces(10)] == [M1]
        assert {s.id for s in reader.sessions(10)} == {S1, S9}
        counts = reader.counts()
        assert (counts.messages, counts.attempts, sum(counts.recipients.values())) == (1, 1, 1)


async def test_sessions_that_nothing_names_go_where_that_is_asked(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await fill(journal)
        deletion = Deletion(messages=(M2,), unused_sessions=True)
        await journal.writer.write(Batch(deletions=(deletion,)))
        assert [s.id for s in journal.reader.sessions(10)] == [S1]


async def test_numbers_go_on_behind_the_deleted_so_no_bounce_line_is_left_out(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as journal:
        await fill(journal)
        await journal.writer.write(Batch(deletions=(Deletion(messages=(M1, M2)),)))
        await journal.writer.write(
            Batch(messages=(a_message(3),), bounces=(a_bounce(3, message=3),))
        )
    lines = [json.loads(line) for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3]


async def test_a_check_writes_and_a_closed_journal_fails_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as journal:
        await journal.writer.check()
        await journal.writer.check()
    with pytest.raises(Exception, match="closed"):
        await journal.writer.check()
