"""`make bench` really measures: its programs compile, and a quick run ends with figures."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]


async def bench(*words: str, path: str | None = None) -> tuple[int, str]:
    """Run the command; return its exit status and what it said."""
    environment = {**os.environ, "TERM": "dumb"} | ({"PATH": path} if path is not None else {})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.bench", *words,
        cwd=REPOSITORY, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.mark.judge("cc")
async def test_a_quick_run_measures_and_loses_nothing(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    code, said = await bench("--quick", "relay-naive", "cpu", "--json", str(file))
    assert code in {0, 1}, said
    run: dict[str, Any] = json.loads(file.read_text())
    relayed = run["samples"]["relay"]
    assert {"naive", "relay@asyncio"} <= relayed.keys()
    for (sample,) in relayed.values():
        assert sample["figures"]["messages-a-second"] > 0
        assert (sample["refused"], sample["lost"], sample["clear"]) == (0, 0, 0)
    assert all(row["value"] > 0 for row in run["rows"])
    assert "no figures to quote" in said


async def test_a_missing_compiler_is_told_with_what_to_install(tmp_path: Path) -> None:
    code, said = await bench("--quick", "cpu", path=str(tmp_path))
    assert code == 3
    assert "no C compiler 'cc'" in said
    assert "apt-get install build-essential libssl-dev" in said
    assert "Traceback" not in said
