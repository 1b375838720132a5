"""What docs/check.md shows is what the commands print."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs/check.md").read_text("utf-8")
EXAMPLES = re.findall(r"```console\n\$ (relay check .+)\n((?:.*\n)+?)```", PAGE)
PARTNERS = ["good.lab.test", "expired.lab.test", "no-starttls.lab.test"]


def without_what_changes(text: str) -> str:
    """Return a text in one line, without what differs from run to run."""
    changing = r"\]:\d+|\d{4}-\d\d-\d\d \d\d:\d\d UTC|intermediate [0-9a-f]{8}\b"
    return re.sub(changing, "...", " ".join(text.split()))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 2


@pytest.mark.parametrize(("command", "output"), EXAMPLES, ids=[words for words, _ in EXAMPLES])
def test_an_example_is_true(command: str, output: str, tmp_path: Path) -> None:
    (tmp_path / "partners.txt").write_text("\n".join(PARTNERS), "utf-8")
    program, *words = command.split()
    ended = subprocess.run(
        [str(Path(sys.executable).with_name(program)), *words, "--state", str(tmp_path / "state")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert without_what_changes(ended.stdout).startswith(without_what_changes(output))


def test_every_option_that_the_page_names_exists() -> None:
    relay = str(Path(sys.executable).with_name("relay"))
    shown = subprocess.run(
        [relay, "check", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", shown.stdout))
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", PAGE))
    assert named <= options
