from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from journal_records import NOON, a_bounce, a_message, a_session, a_story, an_attempt, an_envelope

from relay.journal.api import (
    Batch,
    Deletion,
    JournalError,
    JournalReader,
    NewMessage,
    NotFound,
    RecipientRef,
    RecipientState,
    RecipientUpdate,
)
from relay.journal.lines import BounceLines
from relay.journal.lock import JournalLock
from relay.journal.schema import connect_writer
from relay.journal.sqlite_journal import open_journal
from relay.journal.sqlite_reader import open_reader
from relay.journal.sqlite_writer import GROUP_LIMIT, SqliteWriter, committed_bounces


class GatedConnection:
    """Passes everything on, tells of each COMMIT, and holds it until it is let through."""

    def __init__(self, connection: sqlite3.Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._gate = threading.Semaphore(0)
        self.at_gate = asyncio.Event()
        self.log: list[str] = []

    def let_through(self, commits: int) -> None:
        self.at_gate.clear()
        for _ in range(commits):
            self._gate.release()

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self._loop.call_soon_threadsafe(self.at_gate.set)
            self._gate.acquire()
        cursor = self._connection.execute(sql, parameters)
        if sql == "COMMIT":
            self.log.append("committed")
        return cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@asynccontextmanager
async def a_writer(
    path: Path,
    wrap: Callable[[sqlite3.Connection], Any] = lambda connection: connection,
    lines: Path | None = None,
) -> AsyncIterator[SqliteWriter]:
    connection = connect_writer(path)
    writer = SqliteWriter(
        path=path,
        connection=wrap(connection),
        lock=JournalLock.acquire(path),
        lines=lines and BounceLines(lines, partial(committed_bounces, connection)),
    )
    try:
        yield writer
    finally:
        await writer.close()


def reading(path: Path) -> JournalReader:
    return open_reader(path)


def test_every_commit_is_synchronous(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path / "j.sqlite3")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_what_a_statement_may_take_back_makes_no_file(tmp_path: Path) -> None:
    connection = connect_writer(tmp_path / "j.sqlite3")
    assert connection.execute("PRAGMA temp_store").fetchone() == (2,)  # MEMORY
    connection.close()


async def test_a_write_returns_after_its_commit_and_not_before(tmp_path: Path) -> None:
    gate: list[GatedConnection] = []

    def wrap(connection: sqlite3.Connection) -> GatedConnection:
        gate.append(GatedConnection(connection, asyncio.get_running_loop()))
        return gate[0]

    path = tmp_path / "j.sqlite3"
    async with a_writer(path, wrap) as writer:

        async def write() -> None:
            await writer.write(a_story())
            gate[0].log.append("returned")

        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(write())
            await gate[0].at_gate.wait()
            assert not waiting.done()
            reader = reading(path)
            assert reader.counts().messages == 0
            gate[0].let_through(1)
        assert gate[0].log == ["committed", "returned"]
        assert reader.counts().messages == 1
        reader.close()


async def test_what_waits_together_is_committed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate: list[GatedConnection] = []
    loop = asyncio.get_running_loop()

    def wrap(connection: sqlite3.Connection) -> GatedConnection:
        gate.append(GatedConnection(connection, loop))
        return gate[0]

    wakes: list[str] = []
    really = loop.call_soon_threadsafe

    def counted(callback: Any, *args: Any, **options: Any) -> Any:
        wakes.append(callback.__name__)
        return really(callback, *args, **options)

    async with a_writer(tmp_path / "j.sqlite3", wrap) as writer:
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.write(Batch(messages=(a_message(0),))))
            await gate[0].at_gate.wait()
            for number in range(1, GROUP_LIMIT + 41):
                group.create_task(writer.write(Batch(messages=(a_message(number),))))
            await asyncio.sleep(0)
            monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
            gate[0].let_through(3)
        monkeypatch.undo()
    assert gate[0].log == ["committed"] * 3
    assert wakes.count("_settle") == 3
    reader = reading(tmp_path / "j.sqlite3")
    assert reader.counts().messages == GROUP_LIMIT + 41
    newest = [found.envelope.id for found in reader.messages(GROUP_LIMIT + 41)]
    assert newest == sorted(newest, reverse=True)
    reader.close()


async def test_one_turn_of_the_loop_is_one_commit_and_the_last_word_holds(tmp_path: Path) -> None:
    gate: list[GatedConnection] = []

    def wrap(connection: sqlite3.Connection) -> GatedConnection:
        gate.append(GatedConnection(connection, asyncio.get_running_loop()))
        return gate[0]

    def update(number: int, state: RecipientState, at: datetime | None) -> Batch:
        message_id = an_envelope(number).id
        return Batch(
            updates=(
                RecipientUpdate(
                    message_id=message_id, recipient="u@bank.test", state=state, next_at=at
                ),
            )
        )

    path = tmp_path / "j.sqlite3"
    async with a_writer(path, wrap) as writer:
        async with asyncio.TaskGroup() as group:
            for number in range(1, 41):
                group.create_task(writer.write(Batch(messages=(a_message(number),))))
                group.create_task(writer.write(update(number, RecipientState.QUEUED, NOON)))
                group.create_task(writer.write(update(number, RecipientState.FAILED, None)))
            await gate[0].at_gate.wait()
            gate[0].let_through(1)
        assert gate[0].log == ["committed"]
    with closing(reading(path)) as reader:
        listed = reader.messages(50)
    assert [m.envelope.id for m in reversed(listed)] == [an_envelope(n).id for n in range(1, 41)]
    assert {r.state for m in listed for r in m.recipients} == {RecipientState.FAILED}


async def test_numbers_go_on_after_a_refusal_a_deletion_and_a_new_start(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    for number in (10, 20):
        async with a_writer(path) as writer:
            await writer.write(a_story(number))
            with pytest.raises(JournalError):
                await writer.write(Batch(messages=(a_message(number + 1), a_message(number))))
            await writer.write(a_story(number + 2))
            doomed = (an_envelope(number + 2).id,)
            await writer.write(Batch(deletions=(Deletion(messages=doomed),)))
            await writer.write(a_story(number + 3))
    with closing(sqlite3.connect(path)) as connection:
        for table in ("messages", "sessions", "attempts", "bounces"):
            found = connection.execute(f"SELECT sequence, id FROM {table} ORDER BY sequence")
            numbers, ids = zip(*found.fetchall(), strict=True)
            assert numbers == (1, 3, 4, 6)
            assert [int(own[1:]) for own in ids] == [10, 13, 20, 23]


@pytest.mark.parametrize(
    "wrong",
    [
        Batch(attempts=(an_attempt(9, message=404),)),
        Batch(bounces=(a_bounce(9, message=404),)),
        Batch(
            updates=(
                RecipientUpdate(
                    message_id=an_envelope(1).id,
                    recipient="somebody@else.test",
                    state=RecipientState.DELIVERED,
                    next_at=None,
                ),
            )
        ),
        Batch(messages=(a_message(1),)),
        Batch(sessions=(a_session(2), a_session(2))),
        Batch(bounces=(replace(a_bounce(9), recipient="u@bank.test", id="b0000000000000001"),)),
    ],
    ids=["attempt", "bounce", "update", "message twice", "session twice", "bounce twice"],
)
async def test_a_batch_is_kept_whole_or_not_at_all(tmp_path: Path, wrong: Batch) -> None:
    path = tmp_path / "j.sqlite3"
    async with a_writer(path, lines=tmp_path / "b.jsonl") as writer:
        await writer.write(a_story(1))
        half = replace(
            wrong,
            messages=(a_message(7), *wrong.messages),
            sessions=(a_session(7), *wrong.sessions),
            bounces=(a_bounce(7, message=7), *wrong.bounces),
        )
        good = [writer.write(a_story(number)) for number in (5, 6)]
        results = await asyncio.gather(good[0], writer.write(half), good[1], return_exceptions=True)
        assert results[0] is None
        assert results[2] is None
        assert isinstance(results[1], JournalError)
        assert str(path) in str(results[1])
        reader = reading(path)
        assert reader.counts().messages == 3
        assert reader.counts().sessions == 3
        assert reader.counts().bounces == 3
        with pytest.raises(NotFound):
            reader.message(an_envelope(7).id)
        reader.close()
    told = [json.loads(line)["id"] for line in (tmp_path / "b.jsonl").read_text().splitlines()]
    assert told == [a_bounce(number).id for number in (1, 5, 6)]


async def test_a_full_disk_refuses_what_does_not_fit_and_takes_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"

    def small(connection: sqlite3.Connection) -> sqlite3.Connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 40}")
        return connection

    async with a_writer(path, small) as writer:
        huge = Batch(messages=(a_message(2, subject="x" * 1_000_000),))
        results = await asyncio.gather(
            writer.write(a_story(1)),
            writer.write(huge),
            writer.write(a_story(3)),
            return_exceptions=True,
        )
        assert results[0] is None
        assert results[2] is None
        assert isinstance(results[1], JournalError)
        assert "no space left" in str(results[1])
        with pytest.raises(JournalError, match="no space left"):
            await writer.write(huge)
        await writer.write(a_story(4))
    reader = reading(path)
    assert [found.envelope.id[-1] for found in reader.messages(9)] == ["4", "3", "1"]
    reader.close()


class FailingCommit:
    """Fails the commits of the given numbers, counted from 1, as a full disk may."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._commits = 0
        self.fails: set[int] = set()
        self.held, self.hold = threading.Event(), threading.Event()
        self.hold.set()

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self._commits += 1
            self.held.set()
            self.hold.wait()
            if self._commits in self.fails:
                raise sqlite3.OperationalError("disk I/O error")
        return self._connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


async def test_a_failed_commit_keeps_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    connections: list[FailingCommit] = []

    def wrap(connection: sqlite3.Connection) -> FailingCommit:
        connections.append(FailingCommit(connection))
        return connections[0]

    async with a_writer(tmp_path / "j.sqlite3", wrap) as writer:
        connections[0].fails = {1}
        with pytest.raises(JournalError, match="disk I/O error"):
            await writer.write(a_story(1))
        await writer.write(a_story(2))
    reader = reading(tmp_path / "j.sqlite3")
    assert [found.envelope.id for found in reader.messages(9)] == [an_envelope(2).id]
    reader.close()


async def test_a_group_that_fails_as_a_whole_is_tried_one_by_one(tmp_path: Path) -> None:
    connections: list[FailingCommit] = []

    def wrap(connection: sqlite3.Connection) -> FailingCommit:
        connections.append(FailingCommit(connection))
        return connections[0]

    async with a_writer(tmp_path / "j.sqlite3", wrap) as writer:
        connections[0].hold.clear()
        async with asyncio.TaskGroup() as group:
            group.create_task(writer.write(a_story(1)))
            await asyncio.to_thread(connections[0].held.wait)
            others = [writer.write(a_story(number)) for number in (2, 3, 4)]
            waiting = asyncio.gather(*others, return_exceptions=True)
            await asyncio.sleep(0)
            connections[0].fails = {2, 4}
            connections[0].hold.set()
            results = await waiting
    assert [isinstance(result, JournalError) for result in results] == [False, True, False]
    reader = reading(tmp_path / "j.sqlite3")
    assert [found.envelope.id[-1] for found in reader.messages(9)] == ["4", "2", "1"]
    reader.close()


async def test_a_read_only_journal_says_so(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    connections: list[sqlite3.Connection] = []

    def wrap(connection: sqlite3.Connection) -> sqlite3.Connection:
        connections.append(connection)
        return connection

    async with a_writer(path, wrap) as writer:
        connections[0].execute("PRAGMA query_only = ON")
        with pytest.raises(JournalError, match=r"can't be written.*j\.sqlite3"):
            await writer.write(a_story(1))
        connections[0].execute("PRAGMA query_only = OFF")
        await writer.write(a_story(2))


async def test_a_cancelled_wait_takes_nothing_back_and_disturbs_nobody(tmp_path: Path) -> None:
    gate: list[GatedConnection] = []

    def wrap(connection: sqlite3.Connection) -> GatedConnection:
        gate.append(GatedConnection(connection, asyncio.get_running_loop()))
        return gate[0]

    async with a_writer(tmp_path / "j.sqlite3", wrap) as writer, asyncio.TaskGroup() as group:
        first = group.create_task(writer.write(a_story(1)))
        await gate[0].at_gate.wait()
        second = group.create_task(writer.write(a_story(2)))
        await asyncio.sleep(0)
        first.cancel()
        second.cancel()
        group.create_task(writer.write(a_story(3)))
        await asyncio.sleep(0)
        gate[0].let_through(2)
    reader = reading(tmp_path / "j.sqlite3")
    assert reader.counts().messages == 3
    reader.close()


async def test_close_finishes_what_was_handed_in(tmp_path: Path) -> None:
    journal = open_journal(tmp_path / "j.sqlite3", bounce_lines=None)
    async with asyncio.TaskGroup() as group:
        for number in range(1, 30):
            group.create_task(journal.writer.write(a_story(number)))
        await asyncio.sleep(0)
        await journal.close()
    await journal.close()
    with pytest.raises(JournalError, match="closed"):
        await journal.writer.write(a_story(99))
    with pytest.raises(JournalError, match="closed"):
        journal.reader.counts()
    reader = reading(tmp_path / "j.sqlite3")
    assert reader.counts().messages == 29
    reader.close()


async def test_hostile_text_is_stored(tmp_path: Path) -> None:
    envelope = an_envelope(
        1,
        recipients=('"\udcff"@bank.test', "ü@bücher.test"),
        subject="\x00\x1b[31m\udc80",
        message_id_header="<\udc80@x>",
    )
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=tmp_path / "b.jsonl") as journal:
        await journal.writer.write(
            Batch(
                messages=(
                    NewMessage(
                        envelope=envelope,
                        content=b"\x00\xff",
                        state=RecipientState.QUEUED,
                        next_at=NOON,
                    ),
                ),
                bounces=(a_bounce(1, recipient=envelope.recipients[0], cause_text="\udc80\x1b"),),
                updates=tuple(
                    RecipientUpdate(
                        message_id=envelope.id,
                        recipient=recipient,
                        state=RecipientState.FAILED,
                        next_at=None,
                    )
                    for recipient in envelope.recipients
                ),
            )
        )
        record = journal.reader.message("latest")
        assert record.envelope == envelope
        assert journal.reader.content("latest") == b"\x00\xff"
        assert journal.reader.find_by_message_id_header("<\udc80@x>") == envelope.id
        assert len(journal.reader.messages(5, domain="BÜCHER.test.")) == 1
        assert len(journal.reader.messages(5, domain="xn--bcher-kva.test")) == 1
        assert {status.state for status in record.recipients} == {RecipientState.FAILED}
    assert b"\x1b" not in (tmp_path / "b.jsonl").read_bytes()


async def test_a_start_finds_what_a_dead_process_had_in_hand(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    two = a_message(1, recipients=("u@bank.test", "v@bank.test"))
    done = RecipientUpdate(
        message_id=two.envelope.id,
        recipient="v@bank.test",
        state=RecipientState.DELIVERED,
        next_at=None,
    )
    queued = a_message(2, state=RecipientState.QUEUED, next_at=NOON)
    async with open_journal(path, bounce_lines=None) as journal:
        assert journal.abandoned == ()
        await journal.writer.write(Batch(messages=(two, queued), updates=(done,)))
        in_hand = RecipientRef(message_id=two.envelope.id, recipient="u@bank.test")
    async with open_journal(path, bounce_lines=None) as journal:
        assert journal.abandoned == (in_hand,)
        states = [
            status.state
            for message in reversed(journal.reader.messages(9))
            for status in message.recipients
        ]
    assert states == [
        RecipientState.ABANDONED,
        RecipientState.DELIVERED,
        RecipientState.QUEUED,
    ]


@pytest.mark.parametrize(
    ("state", "next_at"), [(RecipientState.QUEUED, None), (RecipientState.DELIVERED, NOON)]
)
def test_a_next_try_belongs_to_a_queued_recipient(state: RecipientState, next_at: Any) -> None:
    with pytest.raises(ValueError, match="next_at"):
        a_message(1, state=state, next_at=next_at)
    with pytest.raises(ValueError, match="next_at"):
        RecipientUpdate(message_id="m", recipient="r", state=state, next_at=next_at)
