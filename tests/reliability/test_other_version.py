"""A journal that another version made is left alone, and the relay says so."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from e2e_command import relay

from relay.journal.schema import FORMAT
from relay.journal.sqlite_journal import open_journal


@pytest.mark.parametrize(("found", "age"), [(FORMAT + 1, "a newer"), (0, "an older")])
async def test_a_journal_of_another_version_is_left_alone(
    tmp_path: Path, found: int, age: str
) -> None:
    journal = tmp_path / "journal.sqlite3"
    await open_journal(journal, bounce_lines=None).close()
    with closing(sqlite3.connect(journal)) as connection:
        connection.execute(f"PRAGMA user_version = {found}")
    before = journal.read_bytes()
    for words in (("serve", "--smtp-port", "0", "--smtps-port", "0"), ("messages", "list")):
        run = relay(tmp_path, *words)
        assert run.returncode == 3
        assert f"{age} version made this journal: it has format {found}" in run.stderr
        assert str(journal) in run.stderr
        assert "Traceback" not in run.stderr
    assert journal.read_bytes() == before
