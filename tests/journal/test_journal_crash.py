"""Other processes: one that is killed while it writes, one that holds the lock, one that reads."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from journal_records import a_message, a_story, an_envelope

from relay.journal.api import Batch, JournalLocked, RecipientState
from relay.journal.sqlite_journal import open_journal

WRITES_FOR_EVER = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from dataclasses import replace
from journal_records import a_story
from relay.journal.sqlite_journal import open_journal

async def write(journal, numbers):
    for number in numbers:
        await journal.writer.write(a_story(number))
        print(number, flush=True)

async def main():
    path, first = Path(sys.argv[2]), int(sys.argv[3])
    journal = open_journal(path, bounce_lines=path.with_name("b.jsonl"))
    async with asyncio.TaskGroup() as group:
        for lane in range(4):
            group.create_task(write(journal, range(first + lane, first + 1_000_000, 4)))

asyncio.run(main())
"""

HOLDS = """
import sys
from pathlib import Path
from relay.journal.sqlite_journal import open_journal

journal = open_journal(Path(sys.argv[1]), bounce_lines=None)
print("held", flush=True)
sys.stdin.read()
"""

READS = """
import json, sys
from pathlib import Path
from relay.journal.sqlite_reader import open_reader

reader = open_reader(Path(sys.argv[1]))
for _ in sys.stdin:
    print(json.dumps([m.envelope.id for m in reader.messages(9)]), flush=True)
"""


@contextmanager
def another_process(script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


async def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    path, lines = tmp_path / "j.sqlite3", tmp_path / "b.jsonl"
    acknowledged: set[int] = set()
    here = str(Path(__file__).parent)
    for round_number, until in enumerate((1, 60, 150)):
        first = str(1 + round_number * 1_000_000)
        with another_process(WRITES_FOR_EVER, here, str(path), first) as process:
            assert process.stdout is not None
            for _ in range(until):
                acknowledged.add(int(process.stdout.readline()))
            process.kill()
            acknowledged.update(int(line) for line in process.stdout if line.endswith("\n"))
        async with open_journal(path, bounce_lines=lines) as journal:
            everything = journal.reader.messages(1_000_000)
            found = {message.envelope.id for message in everything}
            assert {an_envelope(number).id for number in acknowledged} <= found
            counts = journal.reader.counts()
            assert counts.messages == counts.sessions == counts.attempts == counts.bounces
            assert counts.recipients[RecipientState.FAILED] == counts.messages
            assert journal.reader.message("latest").bounces
            assert journal.reader.content("latest") == a_message().content
        told = [json.loads(line) for line in lines.read_text().splitlines()]
        assert [line["sequence"] for line in told] == list(range(1, counts.bounces + 1))
        assert {line["message_id"] for line in told} == found
    assert len(acknowledged) >= 211


async def test_a_second_writer_is_refused_until_the_first_one_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    with another_process(HOLDS, str(path)) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        for _ in range(2):
            with pytest.raises(JournalLocked, match=rf"process {process.pid}\b") as refused:
                open_journal(path, bounce_lines=None)
            assert refused.value.pid == process.pid
        process.kill()
        process.wait()
        async with open_journal(path, bounce_lines=None) as journal:
            await journal.writer.write(a_story())


async def test_a_second_writer_in_the_same_process_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        for _ in range(2):
            with pytest.raises(JournalLocked):
                open_journal(path, bounce_lines=None)
        await journal.writer.write(a_story())
        (tmp_path / "j.sqlite3.pid").unlink()
        with pytest.raises(JournalLocked, match="another relay is writing") as refused:
            open_journal(path, bounce_lines=None)
        assert refused.value.pid is None
    async with open_journal(path, bounce_lines=None):
        pass


async def test_another_process_reads_beside_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        with another_process(READS, str(path)) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            for number in range(1, 4):
                await journal.writer.write(Batch(messages=(a_message(number),)))
                process.stdin.write("\n")
                process.stdin.flush()
                found = json.loads(process.stdout.readline())
                assert found == [an_envelope(n).id for n in range(number, 0, -1)]
