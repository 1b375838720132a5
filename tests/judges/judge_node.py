"""Node's mail libraries, in the versions of `node/package-lock.json`, installed once."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from judge_programs import run

SCRIPTS = Path(__file__).parent / "node"
CACHE = Path(__file__).parents[2] / ".cache/node"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Node, with the libraries at hand."""

    modules: Path

    async def ask(self, script: str, question: dict[str, Any]) -> dict[str, Any]:
        """Run one of our scripts: JSON in, JSON out."""
        ended = await run(
            "node", str(SCRIPTS / script),
            stdin=json.dumps(question).encode(),
            environment={**os.environ, "NODE_PATH": str(self.modules)},
        )  # fmt: skip
        assert ended.code == 0, ended.output
        answer: dict[str, Any] = json.loads(ended.output)
        return answer


@pytest.fixture(scope="session")
def node() -> Node:
    """Install the libraries where they are not yet."""
    return Node(modules=installed_modules(SCRIPTS, CACHE))


def installed_modules(packages: Path, cache: Path) -> Path:
    """Install what a lock file names where it is not yet, and return where.

    Without a network that is no fault of ours: the test is skipped, but in CI.
    """
    cache.mkdir(parents=True, exist_ok=True)
    wanted = (packages / "package-lock.json").read_bytes()
    installed = cache / "installed-lock.json"
    with _one_at_a_time(cache / "lock"):
        if not installed.exists() or installed.read_bytes() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(packages / name, cache / name)
            npm = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=cache, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip
            if npm.returncode != 0:
                give_up = pytest.fail if os.environ.get("CI") else pytest.skip
                give_up(f"npm can't install the judges for Node: {npm.stderr[-500:]}")
            installed.write_bytes(wanted)
    return cache / "node_modules"


@contextmanager
def _one_at_a_time(lock: Path) -> Iterator[None]:
    """Tests run in several processes, which share the installation."""
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
