"""The projects under examples/: the tests of each pass, in a process of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
NOT_THEIRS = ("cacheprovider", "mailpit", "schemathesis", "hypothesispytest", "timeout", "anyio")


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Return what a command prints; it must succeed."""
    told = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env=os.environ | environment,
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


@pytest.mark.parametrize(
    ("project", "tests", "without"),
    [("django", 5, ("asyncio",)), ("flask", 3, ("asyncio",)), ("fastapi", 3, ())],
)
def test_a_python_project(project: str, tests: int, without: tuple[str, ...]) -> None:
    plugins = [f"-pno:{name}" for name in (*NOT_THEIRS, *without)]
    told = run(
        sys.executable, "-B", "-m", "pytest", "-q", "-W", "error", *plugins, cwd=EXAMPLES / project
    )
    assert f"{tests} passed" in told


@pytest.mark.judge("node")
@pytest.mark.judge("npm")
def test_the_project_in_node(tmp_path: Path) -> None:
    project = tmp_path / "node"
    shutil.copytree(EXAMPLES / "node", project, ignore=shutil.ignore_patterns("node_modules"))
    run("npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", cwd=project)
    command = Path(sys.executable).with_name("relay")
    told = run("npm", "test", cwd=project, RELAY_COMMAND=str(command))
    assert "pass 2" in told
    assert "fail 0" in told
