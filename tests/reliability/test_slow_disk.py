"""A disk that takes its time: whoever brings mail waits, and nothing piles up behind it."""

from __future__ import annotations

import asyncio

import pytest
from e2e_relay import Start

from relay.journal.api import Batch
from relay.journal.sqlite_writer import SqliteWriter

CLIENTS = 10


async def test_whoever_writes_waits_for_the_disk(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, all_wait = asyncio.Event(), asyncio.Event()
    waiting: list[Batch] = []
    write = SqliteWriter.write

    async def slowly(self: SqliteWriter, batch: Batch) -> None:
        waiting.append(batch)
        if len(waiting) == CLIENTS:
            all_wait.set()
        await go_on.wait()
        await write(self, batch)

    async with start("tls: Preferred\nreply: queued\n") as running:
        monkeypatch.setattr(SqliteWriter, "write", slowly)
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            sent = [
                tasks.create_task(running.send("a@good.lab.test", mark=f"slow-{number}"))
                for number in range(CLIENTS)
            ]
            await all_wait.wait()
            await asyncio.sleep(0)
            assert not any(task.done() for task in sent)
            assert [len(batch.messages) for batch in waiting] == [1] * CLIENTS
            go_on.set()
        assert [task.result().code for task in sent] == [250] * CLIENTS
