"""Many sessions at once leave nothing behind in the lab's process; counted, never timed."""

from __future__ import annotations

import importlib.util
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark_of_the_lab(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(BENCHMARKS)
    spec = importlib.util.spec_from_file_location("benchmark_of_the_lab", BENCHMARKS / "lab.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


async def test_two_hundred_sessions_leave_no_descriptor_and_no_task(
    benchmark_of_the_lab: ModuleType,
) -> None:
    # What stays silent is given up after this time; how many others are too does not matter here.
    time_out = timedelta(seconds=3)
    measured = await benchmark_of_the_lab.measure_sessions(200, 1, time_out)
    (after,) = measured["rounds"]
    assert after["sessions"] == 200
    assert after["messages"] > 0
    for held in ("descriptors", "tasks"):
        assert after[held] == measured["before"][held]
    assert measured["forgotten"]["descriptors"] == measured["before"]["descriptors"]
    # A socket to listen on for each receiver, at least: the figures are those of the lab.
    assert measured["before"]["descriptors"] > measured["receivers"]
