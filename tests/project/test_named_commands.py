"""Each command that a page, a policy's comment or an example names exists, its options too."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from relay.cli.app import app

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = sorted(
    [
        REPOSITORY / "README.md",
        REPOSITORY / "CHANGELOG.md",
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").glob("*/README.md"),
    ]
)
NAMED = re.compile(r"(?:`|^\$ )(?:\.venv/bin/)?relay (?P<line>[a-z][a-z-]*[^`\n|]*)", re.MULTILINE)
"""In a code span, or behind a prompt."""
TREE = get_command(app)
END_OF_COMMAND = {"&&", ">", "#", ";"}


def named_in(text: Path) -> list[str]:
    return [found["line"] for found in NAMED.finditer(text.read_text("utf-8"))]


@pytest.mark.parametrize(
    "text", [t for t in TEXTS if named_in(t)], ids=lambda t: str(t.relative_to(REPOSITORY))
)
def test_commands_that_are_named_exist(text: Path) -> None:
    for line in named_in(text):
        command, words = TREE, line.split()
        while words and isinstance(command, TyperGroup):
            found = command.commands.get(words.pop(0).rstrip(".,;:)"))
            assert found is not None, line
            command = found
        known = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
        for word in words:
            if word in END_OF_COMMAND:
                break
            option = word.partition("=")[0].rstrip(".,;:)")
            assert not option.startswith("--") or option in {*known, "--help"}, line
