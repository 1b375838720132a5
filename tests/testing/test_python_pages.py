"""The pages about Python and pytest: their programs run, and say what they say they do."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import relay

DOCS = Path(__file__).parents[2] / "docs"


def programs(page: str) -> list[str]:
    text = (DOCS / page).read_text()
    return re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def python(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.mark.parametrize("program", programs("api-python.md"), ids=["loop", "thread"])
def test_a_program_prints_what_its_comments_say(program: str, tmp_path: Path) -> None:
    told = python("-c", program, cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    expected = re.findall(r"print\(.*\)  # (.+)$", program, re.MULTILINE)
    assert expected
    assert told.stdout.splitlines() == expected


def test_the_page_names_everything_that_both_have() -> None:
    page = (DOCS / "api-python.md").read_text()
    for name in vars(relay.Relay):
        assert name.startswith("_") or re.search(rf"`{name}\b", page), name


def test_the_tests_on_the_page_pass(tmp_path: Path) -> None:
    (program,) = programs("pytest.md")
    (tmp_path / "test_page.py").write_text(program)
    without = [f"-pno:{name}" for name in ("cacheprovider", "mailpit", "schemathesis", "asyncio")]
    told = python("-m", "pytest", "-q", "-W", "error", *without, "test_page.py", cwd=tmp_path)
    assert told.returncode == 0, told.stdout
    assert "4 passed" in told.stdout
