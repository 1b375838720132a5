from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from journal_records import a_story

from relay.journal.api import JournalError, JournalVersion, NoJournal
from relay.journal.schema import FORMAT, connect_writer
from relay.journal.sqlite_journal import open_journal
from relay.journal.sqlite_reader import open_reader


async def test_directories_are_made(tmp_path: Path) -> None:
    path, lines = tmp_path / "a" / "b" / "j.sqlite3", tmp_path / "c" / "d" / "b.jsonl"
    async with open_journal(path, bounce_lines=lines):
        assert path.exists()
        assert lines.exists()


async def test_a_path_with_characters_special_to_uris(tmp_path: Path) -> None:
    path = tmp_path / "100%25 sure? #1 ü" / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(a_story())
        assert journal.reader.counts().messages == 1


def test_no_directory_can_be_made_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JournalError, match=r"directory is a file: .*file$"):
        open_journal(tmp_path / "file" / "j.sqlite3", bounce_lines=None)


def test_the_path_is_a_directory(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="can't be opened"):
        open_journal(tmp_path, bounce_lines=None)
    with pytest.raises(NoJournal):
        open_reader(tmp_path)


async def test_bounce_lines_that_can_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "lines").mkdir()
    with pytest.raises(JournalError, match=r"bounce lines can't be written \(.+\): .*lines"):
        open_journal(tmp_path / "j.sqlite3", bounce_lines=tmp_path / "lines")
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=None):
        pass


@pytest.mark.parametrize("name", ["j.sqlite3", "j.sqlite3.lock"])
def test_not_a_database(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("Dear diary, today I bounced. " * 50)
    with pytest.raises(JournalError, match="not a journal"):
        open_journal(tmp_path / "j.sqlite3", bounce_lines=None)


def test_another_programs_database(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE diary (entry TEXT)")
    other.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match="not a journal"):
        open_journal(path, bounce_lines=None)
    with pytest.raises(JournalError, match="not a journal"):
        open_reader(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("version", "word"), [(FORMAT + 1, "newer"), (0, "older")])
def test_another_versions_journal_names_both(tmp_path: Path, version: int, word: str) -> None:
    path = tmp_path / "j.sqlite3"
    connection = connect_writer(path)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()
    for opening in (lambda: open_journal(path, bounce_lines=None), lambda: open_reader(path)):
        with pytest.raises(JournalVersion) as refused:
            opening()
        assert (refused.value.found, refused.value.known) == (version, FORMAT)
        assert f"format {version}" in str(refused.value)
        assert f"format {FORMAT}" in str(refused.value)
        assert word in str(refused.value)


async def test_a_refused_opening_leaves_no_lock_behind(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    path.write_text("Dear diary. " * 100)
    with pytest.raises(JournalError):
        open_journal(path, bounce_lines=None)
    path.unlink()
    async with open_journal(path, bounce_lines=None):
        pass


@pytest.mark.parametrize("content", [None, b""])
def test_nothing_to_read_yet(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "j.sqlite3"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NoJournal, match="no journal at"):
        open_reader(path)
