"""What a reader does in a clone: the tutorial from end to end, and other pages' first steps."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from page_commands import REPOSITORY, Command, Shell, commands, follow, published

ADDRESS = "https://git.example/relaylab"
IN_A_CLONE = {"docs/lab/expired.md": 0, "README.md": 0, "docs/install.md": 0}
"""Blocks of other pages that want a clone with its environment. The last makes it anew."""


def block(page: str, number: int) -> list[Command]:
    return commands((REPOSITORY / page).read_text("utf-8"))[number]


def tutorial() -> list[Command]:
    page = (REPOSITORY / "docs/tutorial.md").read_text("utf-8")
    return [command for each in commands(page) for command in each]


def repository(folder: Path) -> Path:
    """Make a git repository of this project as it is here, to be cloned."""
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com")
    for words in (("init", "-q"), ("add", "-A"), (*who, "commit", "-q", "-m", "All of it")):
        subprocess.run(["git", *words], cwd=folder, check=True, timeout=60)
    return folder


@pytest.mark.judge("git")
@pytest.mark.judge("make")
@pytest.mark.judge("bash")
@pytest.mark.timeout(600)
def test_from_a_clone(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    source = repository(published(tmp_path / "published/relaylab"))
    reader = tmp_path / "reader"
    settings = {
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        # What pip thinks of this machine's settings is not what the page is about.
        "PIP_QUIET": "2",
    }
    started = time.monotonic()
    follow(
        Shell(reader, settings=settings),
        [
            replace(one, text=one.text.replace(ADDRESS, str(source)), code=code_of(one))
            for one in tutorial()
        ],
    )
    record_property("seconds", time.monotonic() - started)
    assert "<script" not in (reader / "relaylab/proof.html").read_text("utf-8")

    for page, number in IN_A_CLONE.items():
        script = [replace(one, code=code_of(one)) for one in block(page, number)]
        follow(Shell(reader / "relaylab", settings=settings), script)


def code_of(command: Command) -> int:
    """Return the exit code that goes with what is shown: a refusal's, or a finding's."""
    refused = command.text.startswith(".venv/bin/relay send anyone@expired.lab.test")
    shown = re.search(r"^Reply    [45]|^No, ", command.shown, re.MULTILINE)
    return int(refused or shown is not None)
