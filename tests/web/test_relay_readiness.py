"""Whether a relay is ready: its listeners, its journal, its receivers."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from relay.cli.serve import _readiness
from relay.cli.serving import Serving
from relay.cli.state import StateDir
from relay.journal.api import JournalUnavailable


class Steering:
    def __init__(self, error: Exception | None) -> None:
        self._error = error

    async def check(self) -> None:
        if self._error is not None:
            raise self._error


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (None, ["lab/good does not listen"]),
        (
            JournalUnavailable("disk full: /secret/path"),
            ["the journal can't be written", "lab/good does not listen"],
        ),
    ],
)
async def test_a_journal_that_can_not_be_written_is_not_ready(
    tmp_path: Path, error: Exception | None, left: list[str]
) -> None:
    where = StateDir.of(tmp_path)
    note = Serving(pid=os.getpid(), hostname="h", policy="p", lab_root="r", listeners=())
    note.write(where.serving)
    relay: Any = SimpleNamespace(steering=Steering(error), lab=SimpleNamespace(deaf=("good",)))
    assert await _readiness(relay, where)() == left
