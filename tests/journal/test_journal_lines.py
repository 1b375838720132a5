from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from journal_records import a_bounce, a_story

from relay.core.jsonform import to_json
from relay.journal import lines as lines_module
from relay.journal.lines import BounceLines, StoredBounce
from relay.journal.sqlite_journal import open_journal


def stored(*numbers: int) -> list[StoredBounce]:
    return [StoredBounce(n, f"b{n}", json.dumps({"id": f"b{n}", "text": "x" * n})) for n in numbers]


def keeper(path: Path, bounces: list[StoredBounce]) -> BounceLines:
    return BounceLines(path, lambda after: [b for b in bounces if b.sequence > after])


def sequences(path: Path) -> list[int]:
    text = path.read_text()
    assert text.endswith("\n") or not text
    return [json.loads(line)["sequence"] for line in text.splitlines()]


async def test_a_line_is_there_when_the_write_returns(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=path) as journal:
        for number in range(1, 4):
            await journal.writer.write(a_story(number))
            last = json.loads(path.read_text().splitlines()[-1])
            assert last.pop("sequence") == number
            record = a_bounce(number, message=number, session_id=f"s{number:016d}")
            assert last == to_json(record)
    assert sequences(path) == [1, 2, 3]


@pytest.mark.parametrize("kept", [0, 1, 3])
@pytest.mark.parametrize("torn", [b"", b'{"sequence": 4, "id', b"x" * 200_000])
async def test_a_start_appends_what_a_crash_left_out(
    tmp_path: Path, kept: int, torn: bytes
) -> None:
    path = tmp_path / "b.jsonl"
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=path) as journal:
        for number in range(1, 6):
            await journal.writer.write(a_story(number))
    whole = path.read_bytes()
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]) + torn)
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=path) as journal:
        assert path.read_bytes() == whole
        await journal.writer.write(a_story(6))
    assert sequences(path) == [1, 2, 3, 4, 5, 6]


async def test_another_journals_lines_are_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    for number, journal_name in enumerate(("one", "two", "three"), start=1):
        async with open_journal(tmp_path / journal_name, bounce_lines=path) as journal:
            await journal.writer.write(a_story(number))
        assert sequences(path) == [1]
        assert a_bounce(number).id in path.read_text()
    assert a_bounce(1).id in (tmp_path / "b.jsonl.1").read_text()
    assert a_bounce(2).id in (tmp_path / "b.jsonl.2").read_text()


@pytest.mark.parametrize(
    "foreign", ["notes of mine\n", "[]\n", "\n", '{"sequence": "1", "id": 1}\n']
)
def test_a_file_that_holds_no_bounces_is_set_aside(tmp_path: Path, foreign: str) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(foreign)
    lines = keeper(path, stored(1, 2))
    lines.catch_up()
    lines.close()
    assert sequences(path) == [1, 2]
    assert (tmp_path / "b.jsonl.1").read_text() == foreign


def test_a_line_written_in_part_is_cut_and_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = [60, 10_000]

    class FullOnce(io.FileIO):
        def write(self, data: Any) -> int:
            if len(data) > room[0]:
                return super().write(data[: room.pop(0)])
            return super().write(data)

    monkeypatch.setattr(lines_module, "FileIO", FullOnce)
    path = tmp_path / "b.jsonl"
    lines = keeper(path, stored(1, 2, 300, 301))
    with pytest.raises(OSError, match="in part"):
        lines.catch_up()
    assert not path.read_bytes().endswith(b"\n")
    lines.catch_up()
    lines.catch_up()
    lines.close()
    assert sequences(path) == [1, 2, 300, 301]


async def test_bounce_lines_that_fail_never_fail_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(io.FileIO):
        fails = True

        def write(self, data: Any) -> int:
            if self.fails:
                raise OSError(28, "No space left on device")
            return super().write(data)

    monkeypatch.setattr(lines_module, "FileIO", Failing)
    path = tmp_path / "b.jsonl"
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=path) as journal:
        await journal.writer.write(a_story(1))
        assert "behind the journal" in caplog.text
        monkeypatch.setattr(Failing, "fails", False)
        await journal.writer.write(a_story(2))
        assert sequences(path) == [1, 2]
