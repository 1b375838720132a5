"""One run: everybody is started, then measured in turn, round by round."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.bench import suites
from benchmarks.bench.contenders import Grounds, Running, loops, why_missing
from benchmarks.bench.installing import CACHE
from benchmarks.bench.load import build, sink
from benchmarks.bench.machine import load_average, machine
from benchmarks.bench.processes import BenchError
from benchmarks.bench.rows import Loop, Row, Sample, name_of, wanted


@dataclass(slots=True, kw_only=True)
class Run:
    """All that a run found out; `missing` says why a contender was not measured."""

    machine: dict[str, str]
    settings: dict[str, str]
    rounds: int
    scale: float
    loops: tuple[Loop, ...]
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    seconds: float = 0

    def add(self, suite: str, contender: str, sample: Sample) -> None:
        """Keep a sample."""
        self.samples.setdefault(suite, {}).setdefault(contender, []).append(sample)


def run(
    rows: Sequence[Row], *, rounds: int, scale: float, minutes: float, say: Callable[[str], None]
) -> Run:
    """Measure these rows; BenchError where the tools themselves are missing.

    There are fewer rounds where the next one would end past so many minutes.
    """
    began = time.monotonic()
    needed = wanted(rows)
    missing = {
        contender: why
        for contender in sorted(set[str]().union(*needed.values()))
        if (why := why_missing(contender)) is not None
    }
    found = Run(
        machine=machine(),
        settings=suites.settings(rows),
        rounds=rounds,
        scale=scale,
        loops=loops(),
        missing=missing,
    )
    for key, text in found.machine.items():
        say(f"{key:16}{text}")
    for key, text in found.settings.items():
        say(f"settings of {key}: {text}")
    for contender, why in missing.items():
        say(f"not measured: {contender}: {why}")
    with suites.scratch() as name, contextlib.ExitStack() as stack:
        directory, tools = Path(name), build(CACHE / "tools")
        # Postfix's processes look for their files below it.
        directory.chmod(0o755)
        server = stack.enter_context(sink(tools, log=directory / "sink.log", tls=True))
        grounds = Grounds(tools=tools, directory=directory, sink_port=server.port)
        stack.callback(grounds.close)
        measuring = Measuring(found, grounds, say, began)
        turns = measuring.start(needed, stack)
        found.rounds = measuring.rounds(turns, until=began + minutes * 60)
        if "journal" in needed:
            say("journal: fills 100,000 messages ..." if scale >= 1 else "journal ...")
            for size, sample in suites.journal(scale=scale).items():
                found.add("journal", size, sample)
    found.machine["load after"] = load_average()
    found.seconds = time.monotonic() - began
    return found


class Measuring:
    """The turns of a run."""

    def __init__(
        self, found: Run, grounds: Grounds, say: Callable[[str], None], began: float
    ) -> None:
        self._found = found
        self._grounds = grounds
        self._say = say
        self._began = began
        self._serving: dict[str, Running] = {}

    def start(
        self, needed: dict[str, set[str]], stack: contextlib.ExitStack
    ) -> list[tuple[str, str]]:
        """Start whoever serves all the time; return the turns of a round: suite and contender."""
        turns = [
            (suite, contender)
            for suite, kinds in needed.items()
            if suite != "journal"
            for contender in self._under_all_loops(kinds)
        ]
        for suite, contender in turns:
            if suite in suites.SERVED and contender not in self._serving:
                self._say(f"starting {contender}")
                self._serving[contender] = stack.enter_context(self._grounds.running(contender))
        stack.callback(lambda: suites.end_all(list(self._serving.values())))
        return turns

    def rounds(self, turns: Sequence[tuple[str, str]], *, until: float) -> int:
        """Measure everybody in turn, round by round; return how many rounds there were."""
        longest = 0.0
        for number in range(1, self._found.rounds + 1):
            begun = time.monotonic()
            if begun + longest > until:
                self._say(f"the time is over: {number - 1} rounds of {self._found.rounds}")
                return number - 1
            for suite, contender in turns:
                self._one(number, suite, contender)
            longest = max(longest, time.monotonic() - begun)
        return self._found.rounds

    def _under_all_loops(self, kinds: set[str]) -> list[str]:
        present = sorted(kinds - self._found.missing.keys())
        return sorted(
            {name_of(kind, loop) for kind, loop in itertools.product(present, self._found.loops)}
        )

    def _one(self, number: int, suite: str, contender: str) -> None:
        running = self._serving.get(contender) if suite in suites.SERVED else None
        try:
            sample = suites.measure(
                suite, contender, running, self._grounds, scale=self._found.scale
            )
        except BenchError as error:
            self._say(f"FAILED: {suite}, {contender}: {error}")
            self._found.missing.setdefault(contender, str(error))
            return
        self._found.add(suite, contender, sample)
        figures = ", ".join(f"{value:,.1f}{key.unit}" for key, value in sample.figures.items())
        trouble = "".join(
            f", {count} {word}"
            for word, count in (
                ("refused", sample.refused),
                ("LOST", sample.lost),
                ("IN CLEAR TEXT", sample.clear),
            )
            if count
        )
        self._say(
            f"{time.monotonic() - self._began:4.0f} s  round {number}/{self._found.rounds}  "
            f"{suite:18}{contender:24}{figures}{trouble}"
        )
