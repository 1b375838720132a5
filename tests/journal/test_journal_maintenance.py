"""`relay journal check|vacuum|export|import`, as commands on journals that the tests fill."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from journal_records import NOON, a_message, a_story
from typer.testing import CliRunner, Result

from relay.cli.app import app
from relay.journal.api import Batch, Deletion, NewMessage, RecipientState, RecipientUpdate
from relay.journal.checking import check_journal
from relay.journal.sqlite_journal import open_journal
from relay.journal.sqlite_reader import open_reader
from relay.journal.transfer import vacuum

CONTENT = b"Subject: \xe4\xb8\xad\r\n\r\n\x00.\r\nhi\r\n"


def run(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["journal", *arguments, "--state", str(state)])


def honest(message: NewMessage, content: bytes = CONTENT) -> NewMessage:
    """The message with a body that its envelope tells the truth of."""
    digest = sha256(content).hexdigest()
    envelope = replace(message.envelope, size=len(content), sha256=digest)
    return replace(message, envelope=envelope, content=content)


def a_sound_story(number: int) -> Batch:
    story = a_story(number)
    return replace(story, messages=(honest(story.messages[0], CONTENT + b"x" * number),))


async def fill(state: Path, *more: Batch) -> Path:
    path = state / "journal.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        for batch in (a_sound_story(1), a_sound_story(2), *more):
            await journal.writer.write(batch)
    return path


def spoil(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount == 1
        connection.commit()


async def test_a_sound_journal(tmp_path: Path) -> None:
    await fill(tmp_path)
    result = run(tmp_path, "check")
    assert result.exit_code == 0, result.output
    told = " ".join(result.stdout.split())
    assert "sound: 2 messages" in told
    assert "2 sessions, 2 attempts, 2 bounces" in told
    found = json.loads(run(tmp_path, "check", "--json").stdout)
    assert found["damages"] == []
    assert found["octets"] == 2 * len(CONTENT) + 3


M1 = "message m0000000000000001"


@pytest.mark.parametrize(
    ("statement", "where", "what"),
    [
        ("UPDATE contents SET content = x'00' WHERE message = 1", M1, "1 octets instead of 25"),
        (
            "UPDATE contents SET content = zeroblob(length(content)) WHERE message = 1",
            M1,
            "another body",
        ),
        ("DELETE FROM contents WHERE message = 1", M1, "no body"),
        ("UPDATE messages SET record = '{}' WHERE sequence = 1", M1, "damaged envelope record"),
        ("DELETE FROM recipients WHERE message = 1", M1, "lacks 1 recipients"),
        (
            "UPDATE recipients SET state = 'queued' WHERE message = 1",
            f"{M1}, recipient 1",
            "queued and next due at None",
        ),
        ("UPDATE recipients SET state = 'x' WHERE message = 1", f"{M1}, recipient 1", "none: x"),
        (
            "UPDATE recipients SET address = 'w@bank.test' WHERE message = 1",
            f"{M1}, recipient 1",
            "envelope",
        ),
        ("UPDATE sessions SET record = '7' WHERE sequence = 1", "session s", "damaged session"),
        ("UPDATE attempts SET record = 'x' WHERE sequence = 1", "attempt a", "damaged attempt"),
        ("UPDATE bounces SET id = 'other' WHERE sequence = 1", "bounce other", "record of b"),
        ("UPDATE bounces SET message = 2 WHERE sequence = 1", "bounce b", "not its own"),
        ("DELETE FROM messages WHERE sequence = 1", "table bounces, row 1", "none of the messages"),
    ],
)
async def test_each_kind_of_damage_is_found(
    tmp_path: Path, statement: str, where: str, what: str
) -> None:
    path = await fill(tmp_path)
    spoil(path, statement)
    damages = check_journal(path).damages
    assert any(d.where.startswith(where) and what in d.what for d in damages), damages
    result = run(tmp_path, "check")
    assert result.exit_code == 1
    assert "DAMAGED" in result.stdout


async def test_a_damaged_file_is_told_and_is_no_crash(tmp_path: Path) -> None:
    many = [a_sound_story(n) for n in range(3, 60)]
    path = await fill(tmp_path, *many)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for at in range(4096 * 20, size, 4096 * 3):
            file.seek(at)
            file.write(b"\xff" * 512)
    assert any(d.where == "the file" for d in check_journal(path).damages)
    assert run(tmp_path, "check").exit_code == 1


async def test_an_export_comes_back_as_the_same(tmp_path: Path) -> None:
    two = ("u@bank.test", "v@bank.test")
    mixed = honest(
        a_message(3, recipients=two, state=RecipientState.QUEUED, next_at=NOON), b"\x80\xff" * 99
    )
    update = RecipientUpdate(
        message_id=mixed.envelope.id,
        recipient=two[0],
        state=RecipientState.DELIVERED,
        next_at=None,
    )
    old, new, file = tmp_path / "old", tmp_path / "new", tmp_path / "out.jsonl"
    # A number that was deleted is not given to what follows, here or there.
    gone = Batch(deletions=(Deletion(messages=("m0000000000000001",)),))
    await fill(old, Batch(messages=(mixed,)), Batch(updates=(update,)), gone, a_sound_story(4))
    assert run(old, "export", "-o", str(file)).exit_code == 0
    assert file.stat().st_mode & 0o077 == 0

    refused = run(new, "import", str(file))
    assert refused.exit_code == 2
    assert "1 recipients are still queued" in refused.output
    assert not new.exists()
    assert run(new, "import", str(file), "--with-queue").exit_code == 0

    with (
        closing(open_reader(old / "journal.sqlite3")) as before,
        closing(open_reader(new / "journal.sqlite3")) as after,
    ):
        assert after.records(99) == before.records(99)
        assert after.sessions(99) == before.sessions(99)
        assert after.bounces(99) == before.bounces(99)
        assert after.counts() == before.counts()
        for message in before.messages(99):
            assert after.content(message.envelope.id) == before.content(message.envelope.id)
        late = NOON + timedelta(days=1)
        assert after.due(late, 9) == before.due(late, 9) != ()
    assert run(new, "check").exit_code == 0
    assert run(new, "export").stdout == file.read_text()


async def test_an_import_is_all_or_nothing(tmp_path: Path) -> None:
    one, other, file = tmp_path / "one", tmp_path / "other", tmp_path / "out.jsonl"
    await fill(one, a_sound_story(3))
    run(one, "export", "-o", str(file))
    # The other one has the third story's bounce already, which comes last in the file.
    async with open_journal(other / "journal.sqlite3", bounce_lines=None) as journal:
        clash = replace(a_story(3).bounces[0], message_id="m0000000000000009")
        await journal.writer.write(Batch(messages=(honest(a_message(9)),), bounces=(clash,)))
    result = run(other, "import", str(file))
    assert result.exit_code == 3
    assert "nothing was imported" in result.output
    with closing(open_reader(other / "journal.sqlite3")) as journal:
        assert journal.counts().messages == 1


async def test_bad_lines_are_all_told_and_nothing_is_made(tmp_path: Path) -> None:
    one, new, file = tmp_path / "one", tmp_path / "new", tmp_path / "out.jsonl"
    await fill(one)
    run(one, "export", "-o", str(file))
    lines = file.read_text().splitlines()
    message = json.loads(lines[1])
    lines[1] = json.dumps({**message, "content": "AAAA"})
    lines[3] = lines[3][:-1] + ", }"
    lines[5] = '{"kind": "attempt", "record": {}}'
    lines[6] = '{"kind": "poem"}'
    file.write_text("\n".join(lines[:-1]))
    result = run(new, "import", str(file))
    assert result.exit_code == 2
    for told in (
        ":2:1: its content is not what was received",
        ":4:",
        ":6:1: its record is not one of kind attempt",
        ":7:1: a line is of one of the kinds message, session, attempt, bounce, end",
        ":9:1: the file is cut off",
    ):
        assert f"{file}{told}" in result.output, result.output
    assert not new.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the file is empty"),
        ("From: me\n" * 50, ":1:1: this is no JSON"),
        ("[" * 100_000, ":1:1: this is no JSON"),
        ('{"kind": ' + "9" * 5000 + "}\n", ":1:1: this is no JSON"),
        ('{"kind": "journal", "format": 99}\n', "format 1 alone"),
        (
            (
                '{"kind": "journal", "format": 1}\n{"kind": ["end"]}\n'
                '{"kind": "end", "message": 0, "session": 0, "attempt": 0, "bounce": 0}\n'
            ),
            ":2:1: a line is of one of the kinds",
        ),
        ('{"kind": "journal", "format": 1}\n', "cut off"),
        ('{"kind": "journal", "format": 1}\n{"kind": "end", "message": 3}\n', "3 messages"),
    ],
)
def test_what_is_no_export_is_one_problem(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text(text)
    result = run(tmp_path / "new", "import", str(file))
    assert result.exit_code == 2
    assert told in result.output
    assert "1 problem\n" in result.output


async def test_beside_a_running_writer_reading_works_and_writing_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "out.jsonl"
    path = await fill(tmp_path)
    async with open_journal(path, bounce_lines=None):
        assert run(tmp_path, "check").exit_code == 0
        assert run(tmp_path, "export", "-o", str(file)).exit_code == 0
        for arguments in (("import", str(file)), ("vacuum",)):
            result = run(tmp_path, *arguments)
            assert result.exit_code == 3
            assert "is writing this journal" in result.output
            assert "Stop that relay first" in result.output


async def test_vacuum_gives_room_back_and_changes_nothing(tmp_path: Path) -> None:
    doomed = tuple(honest(a_message(n), b"x" * 50_000) for n in range(10, 30))
    ids = tuple(m.envelope.id for m in doomed)
    path = await fill(tmp_path, Batch(messages=doomed), Batch(deletions=(Deletion(messages=ids),)))
    exported = run(tmp_path, "export").stdout
    before, after = vacuum(path)
    assert before > 1_000_000
    assert after == path.stat().st_size < 200_000
    assert run(tmp_path, "export").stdout == exported
    result = run(tmp_path, "vacuum")
    assert result.exit_code == 0
    assert re.fullmatch(r"(\d+\.\d KiB) before, \1 after\n", result.stdout)


@pytest.mark.parametrize("command", ["check", "export", "vacuum"])
def test_without_a_journal_none_is_made(tmp_path: Path, command: str) -> None:
    result = run(tmp_path, command)
    assert result.exit_code == 3
    assert "there is no journal yet" in result.output
    assert list(tmp_path.iterdir()) == []
