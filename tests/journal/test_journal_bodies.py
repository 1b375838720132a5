"""Big bodies are files beside the journal: there before their rows are, and gone after them."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from journal_records import a_message, an_attempt, an_envelope
from typer.testing import CliRunner

from relay.cli.app import app
from relay.core.ids import IdMaker
from relay.journal.api import (
    Batch,
    Deletion,
    JournalError,
    JournalUnavailable,
    NewMessage,
    NotFound,
)
from relay.journal.bodies import SMALL, BodyFiles
from relay.journal.checking import check_journal
from relay.journal.lock import JournalLock
from relay.journal.schema import connect_writer
from relay.journal.sqlite_journal import open_journal
from relay.journal.sqlite_reader import open_reader
from relay.journal.sqlite_writer import SqliteWriter
from relay.journal.transfer import export_lines, import_batches, vacuum
from relay.journal.transfer_reading import batches, look_at

BIG = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 5_000
NEW_ID = IdMaker(lambda size: bytes(range(256)) * (size // 256) + bytes(size % 256))


def a_big_message(number: int = 1, content: bytes = BIG, **changes: Any) -> NewMessage:
    message = a_message(number, content=content, **changes)
    true = {"size": len(content), "sha256": sha256(content).hexdigest()}
    return replace(message, envelope=replace(message.envelope, **true))


def files_of(path: Path) -> list[Path]:
    directory = path.with_name(f"{path.name}.bodies")
    return sorted(directory.iterdir()) if directory.is_dir() else []


def contents_of(path: Path) -> list[bytes]:
    return [file.read_bytes() for file in files_of(path)]


class WatchedConnection:
    """Calls `at_commit` before each commit, in the writer's thread."""

    def __init__(self, connection: sqlite3.Connection, at_commit: Callable[[], None]) -> None:
        self._connection = connection
        self._at_commit = at_commit

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self._at_commit()
        return self._connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def a_writer(path: Path, at_commit: Callable[[], None]) -> SqliteWriter:
    connection: Any = WatchedConnection(connect_writer(path), at_commit)
    return SqliteWriter(
        path=path, connection=connection, lock=JournalLock.acquire(path), lines=None
    )


@pytest.mark.parametrize(("size", "files"), [(0, 0), (SMALL, 0), (SMALL + 1, 1), (1 << 20, 1)])
async def test_a_body_comes_back_wherever_it_is(tmp_path: Path, size: int, files: int) -> None:
    path, content = tmp_path / "j.sqlite3", b"\x00\r\n\xff" * (size // 4) + b"x" * (size % 4)
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(a_big_message(1, content),)))
        assert journal.reader.content("latest") == content
        assert contents_of(path) == [content] * files
    async with open_journal(path, bounce_lines=None) as journal:
        assert journal.reader.content("latest") == content


async def test_a_files_name_begins_with_the_messages_id(tmp_path: Path) -> None:
    path, own = tmp_path / "j.sqlite3", NEW_ID(an_envelope().received_at)
    odd = "../../a name\x00 that no file should have"
    messages = (a_big_message(1, id=own), a_big_message(2, id=odd))
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=messages))
        names = [file.name for file in files_of(path)]
        assert len(names) == 2
        assert sum(name.startswith(f"{own}-") for name in names) == 1
        assert journal.reader.content(odd) == BIG


async def test_the_file_is_there_before_the_row_is(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    seen: list[tuple[list[bytes], int]] = []

    def look() -> None:
        with closing(open_reader(path)) as reader:
            seen.append((contents_of(path), reader.counts().messages))

    writer = a_writer(path, look)
    await writer.write(Batch(messages=(a_big_message(1),)))
    await writer.write(Batch(deletions=(Deletion(messages=(an_envelope(1).id,)),)))
    await writer.close()
    assert seen == [([BIG], 0), ([BIG], 1)]
    assert files_of(path) == []


class SlowDisk:
    """Holds up every body's sync until `goes_on`; `reached` counts those that wait for it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Semaphore(0)
        self.goes_on = threading.Event()
        write = BodyFiles.write

        def held_up(files: BodyFiles, bodies: Any) -> None:
            self.reached.release()
            assert self.goes_on.wait(30)
            write(files, bodies)

        monkeypatch.setattr(BodyFiles, "write", held_up)

    async def is_reached(self, times: int) -> None:
        for _ in range(times):
            assert await asyncio.to_thread(self.reached.acquire, timeout=30)


async def test_big_bodies_hold_up_neither_one_another_nor_what_is_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "j.sqlite3", SlowDisk(monkeypatch)
    async with open_journal(path, bounce_lines=None) as journal:
        async with asyncio.TaskGroup() as tasks:
            big = [
                tasks.create_task(journal.writer.write(Batch(messages=(a_big_message(number),))))
                for number in (1, 2, 3)
            ]
            await disk.is_reached(3)
            await journal.writer.write(Batch(messages=(a_message(4),)))
            assert journal.reader.counts().messages == 1
            assert not any(task.done() for task in big)
            disk.goes_on.set()
        assert journal.reader.counts().messages == 4
        assert contents_of(path) == [BIG] * 3


async def test_closing_waits_for_big_bodies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "j.sqlite3", SlowDisk(monkeypatch)
    writer = a_writer(path, lambda: None)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(writer.write(Batch(messages=(a_big_message(1),))))
        await disk.is_reached(1)
        closing_it = tasks.create_task(writer.close())
        await asyncio.to_thread(disk.goes_on.set)
        await closing_it
    with closing(open_reader(path)) as reader:
        assert reader.content("latest") == BIG


async def test_who_gives_up_on_a_big_body_leaves_no_file_without_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, disk = tmp_path / "j.sqlite3", SlowDisk(monkeypatch)
    async with open_journal(path, bounce_lines=None) as journal:
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(journal.writer.write(Batch(messages=(a_big_message(1),))))
            await disk.is_reached(1)
            writing.cancel()
        disk.goes_on.set()
    with closing(open_reader(path)) as reader:
        assert (reader.counts().messages, contents_of(path)) == (1, [BIG])


async def test_a_batch_that_is_refused_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        wrong = Batch(messages=(a_big_message(1),), attempts=(an_attempt(message=404),))
        good = Batch(messages=(a_big_message(2, BIG + b"2"),))
        results = await asyncio.gather(
            journal.writer.write(wrong), journal.writer.write(good), return_exceptions=True
        )
        assert isinstance(results[0], JournalError)
        assert results[1] is None
        assert contents_of(path) == [BIG + b"2"]
        twice = Batch(messages=(a_big_message(2, BIG + b"other"),))
        with pytest.raises(JournalError, match="already"):
            await journal.writer.write(twice)
        assert journal.reader.content("latest") == BIG + b"2"
        assert contents_of(path) == [BIG + b"2"]


async def test_a_commit_that_fails_leaves_no_file_and_takes_none(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    fails = True

    def fail() -> None:
        if fails:
            raise sqlite3.OperationalError("disk I/O error")

    writer = a_writer(path, fail)
    message = Batch(messages=(a_big_message(1),))
    with pytest.raises(JournalError, match="disk I/O error"):
        await writer.write(message)
    assert files_of(path) == []
    fails = False
    await writer.write(message)
    fails = True
    with pytest.raises(JournalError, match="disk I/O error"):
        await writer.write(Batch(deletions=(Deletion(messages=(an_envelope(1).id,)),)))
    await writer.close()
    assert contents_of(path) == [BIG]


async def test_where_no_file_can_be_written_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    in_the_way = path.with_name("j.sqlite3.bodies")
    in_the_way.write_text("a file")
    async with open_journal(path, bounce_lines=None) as journal:
        big = Batch(messages=(a_big_message(1),))
        small = Batch(messages=(a_message(2),))
        results = await asyncio.gather(
            journal.writer.write(big), journal.writer.write(small), return_exceptions=True
        )
        assert isinstance(results[0], JournalUnavailable)
        assert "body can't be written" in str(results[0])
        assert results[1] is None
        in_the_way.unlink()
        await journal.writer.write(big)
        assert journal.reader.content(an_envelope(1).id) == BIG


DIES = """
import asyncio, os, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[1], str(Path(sys.argv[1]).parent)]
from test_journal_bodies import a_big_message, a_writer, an_envelope
from relay.journal.api import Batch, Deletion
from relay.journal import sqlite_writer
from relay.journal.bodies import BodyFiles

path, where = Path(sys.argv[2]), sys.argv[3]

def die():
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    if where == "after the row":
        sqlite_writer._wake = lambda results: die()
    if where == "before the file goes":
        BodyFiles.remove = lambda self, names: die()
    writer = a_writer(path, die if where == "before the row" else lambda: None)
    await writer.write(Batch(messages=(a_big_message(1),)))
    await writer.write(Batch(deletions=(Deletion(messages=(an_envelope(1).id,)),)))

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize(
    ("where", "kept"), [("before the row", 0), ("after the row", 1), ("before the file goes", 0)]
)
async def test_a_killed_writer_leaves_no_row_without_its_file(
    tmp_path: Path, where: str, kept: int
) -> None:
    path = tmp_path / "j.sqlite3"
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", DIES, here, str(path), where]
    done = await asyncio.to_thread(subprocess.run, command, check=False)
    assert done.returncode == -signal.SIGKILL
    assert contents_of(path) == [BIG]
    found = check_journal(path)
    assert found.damages == ()
    assert len(found.left_over) == 1 - kept
    async with open_journal(path, bounce_lines=None) as journal:
        assert journal.reader.counts().messages == kept
        assert len(files_of(path)) == kept
        if kept:
            assert journal.reader.content("latest") == BIG


async def test_check_tells_lost_and_changed_bodies_and_files_left_over(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        for number in (1, 2, 3):
            await journal.writer.write(Batch(messages=(a_big_message(number),)))
        assert (check_journal(path).damages, check_journal(path).octets) == ((), 3 * len(BIG))
        with closing(sqlite3.connect(path)) as connection:
            names = [name for (name,) in connection.execute("SELECT file FROM bodies")]
        directory = files_of(path)[0].parent
        (directory / names[0]).unlink()
        (directory / names[1]).write_bytes(BIG.replace(b"7", b"8"))
        (directory / "stranger").touch()
        assert check_journal(path).left_over == ()  # A relay that runs may just be writing it.
    found = check_journal(path)
    assert [(damage.where, damage.what.split(":")[0]) for damage in found.damages] == [
        (f"message {an_envelope(1).id}", "has lost the file of its body"),
        (f"message {an_envelope(2).id}", "has another body than was received (SHA-256)"),
    ]
    assert found.left_over == ("stranger",)
    result = CliRunner().invoke(app, ["journal", "check", "--state", str(tmp_path)])
    assert result.exit_code == 1
    assert "1 files of bodies belong to no message" in " ".join(result.stdout.split())
    vacuum(path)
    assert check_journal(path).left_over == ()


async def test_a_lost_body_is_an_error_and_a_deleted_one_is_not_found(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(a_big_message(1), a_big_message(2))))
        for file in files_of(path):
            file.unlink()
        with pytest.raises(JournalError, match="has no body"):
            journal.reader.content(an_envelope(1).id)
        with pytest.raises(JournalError, match="has no body"):
            list(export_lines(path))
        await journal.writer.write(Batch(deletions=(Deletion(messages=(an_envelope(1).id,)),)))
        with pytest.raises(NotFound):
            journal.reader.content(an_envelope(1).id)


async def test_a_row_reads_no_file_from_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    (tmp_path / "secret").write_text("not a body")
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(a_big_message(1),)))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("UPDATE bodies SET file = '../secret'")
            connection.commit()
        with pytest.raises(JournalError, match="can't be a body's"):
            journal.reader.content("latest")
        (damage,) = check_journal(path).damages
        assert "can't be a body's" in damage.what
        await journal.writer.write(Batch(deletions=(Deletion(messages=(an_envelope(1).id,)),)))
        assert (tmp_path / "secret").exists()


async def test_an_export_has_them_and_an_import_makes_files_again(tmp_path: Path) -> None:
    path, other = tmp_path / "j.sqlite3", tmp_path / "other.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(a_big_message(1), a_message(2))))
        await journal.writer.write(Batch(messages=(a_big_message(3, BIG + b"3"),)))
    small = Batch(deletions=(Deletion(messages=(an_envelope(2).id,)),))
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(small)
    lines = [line.encode() for line in export_lines(path)]
    assert look_at(lines).problems == ()
    import_batches(other, batches(lines))
    assert sorted(contents_of(other)) == sorted([BIG, BIG + b"3"])
    assert list(export_lines(other)) == [line.decode() for line in lines]
    with pytest.raises(JournalError, match="already"):
        import_batches(other, batches(lines[:1] + lines[2:3] + lines[1:2]))
    assert len(files_of(other)) == 2
    assert check_journal(other).damages == ()


async def test_a_journal_of_format_1_is_read_and_then_gets_files(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(a_message(1),)))
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            f"""
            DROP TABLE bodies; PRAGMA user_version = 1;
            UPDATE contents SET content = zeroblob({len(BIG)});
            """
        )
    with closing(open_reader(path)) as reader:
        assert reader.content("latest") == bytes(len(BIG))
        assert check_journal(path).left_over == ()
    async with open_journal(path, bounce_lines=None) as journal:
        assert journal.reader.content("latest") == bytes(len(BIG))
        await journal.writer.write(Batch(messages=(a_big_message(2),)))
        assert journal.reader.content("latest") == BIG
        assert contents_of(path) == [BIG]
        both = (an_envelope(1).id, an_envelope(2).id)
        await journal.writer.write(Batch(deletions=(Deletion(messages=both),)))
        assert files_of(path) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
