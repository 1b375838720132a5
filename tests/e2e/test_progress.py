"""How far a command is: a bar on a terminal's standard error, and nothing of it beside JSON."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest
import record_builders as build
from e2e_command import RELAY, environment

from relay.journal.api import Batch, NewMessage, RecipientState
from relay.journal.sqlite_journal import open_journal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals of POSIX")
PROBED = ("what-if", "lab.test", "--from", "preferred", "--to", "required", "--probe")


def on_a_terminal(state: Path, *words: str) -> tuple[str, str]:
    """Run a command whose standard error is a terminal; return its output and what that showed."""
    import pty

    master, terminal = pty.openpty()
    with (state / "out").open("w") as out:
        process = subprocess.Popen(
            [RELAY, *words],
            env={**environment(state), "TERM": "xterm"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=terminal,
        )
    os.close(terminal)
    shown = bytearray()
    # Linux says by an error that nobody has the other end open any more.
    with contextlib.suppress(OSError):
        while part := os.read(master, 4096):
            shown += part
    os.close(master)
    assert process.wait(60) in {0, 3}
    return (state / "out").read_text(), shown.decode()


@pytest.mark.parametrize(
    ("words", "bar"),
    [
        (("check", "lab/good"), "checking"),
        (("demo", "--scenario", "good"), "sending"),
        (("prove", "--scenarios", "good"), "settled"),
        (PROBED, "probing"),
    ],
    ids=lambda words: words[0] if isinstance(words, tuple) else None,
)
def test_a_bar_is_shown_to_people_and_not_beside_json(
    tmp_path: Path, words: tuple[str, ...], bar: str
) -> None:
    result, shown = on_a_terminal(tmp_path, *words)
    assert bar in shown
    assert bar not in result
    result, shown = on_a_terminal(tmp_path, *words, "--json")
    assert json.loads(result)
    assert shown == ""


async def one_message(state: Path) -> None:
    octets = b"Subject: x\r\n\r\nHi\r\n"
    envelope = build.envelope(size=len(octets), sha256=sha256(octets).hexdigest())
    message = NewMessage(
        envelope=envelope, content=octets, state=RecipientState.DELIVERED, next_at=None
    )
    async with open_journal(state / "journal.sqlite3", bounce_lines=None) as journal:
        await journal.writer.write(Batch(messages=(message,)))


def test_reading_a_journal_is_shown_to_people(tmp_path: Path) -> None:
    exported, log = str(tmp_path / "export.jsonl"), str(tmp_path / "log.csv")
    elsewhere = str(tmp_path / "elsewhere")
    asyncio.run(one_message(tmp_path))
    for words, bar in (
        (("log", "export", "-o", log), "reading the journal"),
        (("journal", "check"), "checking"),
        (("journal", "export", "-o", exported), "exporting"),
        (("journal", "import", exported, "--state", elsewhere), "importing"),
    ):
        result, shown = on_a_terminal(tmp_path, *words)
        assert bar in shown
        assert bar not in result
    for words in (("log", "export", "--json"), ("journal", "check", "--json")):
        assert on_a_terminal(tmp_path, *words)[1] == ""
