"""The projects under examples/, by the commands of their own pages, in fresh environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from page_commands import Shell, commands, follow, published

PIP = '#!/bin/sh\nexec {uv} -m uv pip "$@" --python {python}\n'
"""The installer that shares its packages among environments, in pip's place."""


@pytest.mark.judge("bash")
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("django", "5 passed"),
        ("flask", "3 passed"),
        ("fastapi", "3 passed"),
        pytest.param("node", "pass 2", marks=[pytest.mark.judge("node"), pytest.mark.judge("npm")]),
    ],
)
def test_an_example_by_its_own_words(name: str, said: str, tmp_path: Path) -> None:
    folder = published(tmp_path / "clone") / "examples" / name
    own = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "uv", "venv", "-q", own], check=True, timeout=60)
    pip = own / "bin/pip"
    pip.write_text(PIP.format(uv=sys.executable, python=own / "bin/python"))
    pip.chmod(0o755)
    settings = {"PYTEST_ADDOPTS": "-W error"}
    (block,) = commands((folder / "README.md").read_text("utf-8"))
    ran = follow(Shell(folder, path=(own / "bin",), settings=settings), block)
    assert said in ran[-1].output
