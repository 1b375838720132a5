"""What a run found out: as a table for people, as Markdown for the page, and as JSON."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console

from benchmarks.bench.rows import (
    RELAY,
    Better,
    Figure,
    Finding,
    Loop,
    Row,
    Sample,
    State,
    totals,
)
from benchmarks.bench.run import Run

HEADINGS = (
    "measure",
    "loop",
    "Relaylab",
    "peer",
    "value",
    "rounds",
    "floor",
    "ambition",
    "reached",
)
RIGHT = {"Relaylab", "peer", "value", "rounds", "floor", "ambition"}
IMAGE = "![Each measure as a multiple of its floor](images/performance.svg)"
GUARDS = (("lost accepted messages", "lost"), ("deliveries in clear text under Required", "clear"))


def cells(finding: Finding) -> tuple[str, ...]:
    """Return one line of the table, in the order of HEADINGS."""
    row, unit = finding.row, finding.row.figure.unit
    compared = row.against is not None
    spread = ""
    if finding.lowest is not None and finding.highest is not None:
        spread = f"{_number(finding.lowest)}-{_number(finding.highest)}"
    return (
        row.measure,
        finding.loop.value if finding.loop else "",
        _figure(finding.ours, unit),
        _figure(finding.theirs, unit) if compared else "",
        "-" if finding.value is None else _figure(finding.value, "x" if compared else unit),
        spread,
        _limit(row, row.floor),
        _limit(row, row.ambition),
        finding.state.value,
    )


def guard_cells(run: Run) -> tuple[tuple[str, ...], ...]:
    """Return the lines about what must never happen, for ours in all rounds."""
    lines = []
    for words, name in GUARDS:
        count = guarded(run, name)
        state = State.MISSED.value if count else State.AMBITION.value
        lines.append((words, "", f"{count:,}", "", f"{count:,}", "", "≤ 0", "≤ 0", state))
    return tuple(lines)


def guarded(run: Run, name: str) -> int:
    """Return how many messages of ours were `lost`, `refused`, or sent in `clear` text."""
    return sum(
        getattr(counted, name)
        for contender, counted in totals(run.samples).items()
        if contender.startswith(RELAY)
    )


def exit_code(run: Run, found: Iterable[Finding]) -> int:
    """Return 1 where a floor was missed, 3 where one could not be measured, else 0."""
    states = {finding.state for finding in found}
    if State.MISSED in states or any(guarded(run, name) for _, name in GUARDS):
        return 1
    return 3 if State.UNKNOWN in states else 0


def show(run: Run, found: Sequence[Finding], console: Console) -> None:
    """Print the table, and what has to be known beside it."""
    measure = ""
    for words, loop, ours, theirs, value, rounds, floor, ambition, state in _lines(run, found):
        if words != measure:
            console.print()
            for line in textwrap.wrap(words, console.width):
                console.print(line, highlight=False)
        measure = words
        compared = f"{ours} to {theirs}" if theirs else ""
        spread = f"({rounds})" if rounds else ""
        limits = f"{floor}; {ambition[2:]}" if floor else ""
        line = f"  {loop:7} {value:>8} {spread:13} {compared:19} {limits:17} {state}".rstrip()
        console.print(line, highlight=False, soft_wrap=True)
    console.print("\nvalue (lowest-highest round)  Relaylab to peer  floor; ambition  reached\n")
    for line in notes(run):
        console.print(line, highlight=False)


def notes(run: Run) -> list[str]:
    """Return what the figures do not say themselves."""
    loads = f"load average before {run.machine['load before']}, after {run.machine['load after']}"
    rounds = "1 round" if run.rounds == 1 else f"{run.rounds} rounds"
    how = f"{rounds}, everybody in turn in each; medians"
    lines = [f"{how}. {run.seconds / 60:.0f} minutes; {loads}."]
    if run.scale != 1:
        lines.append(f"A try with {run.scale:g} of the messages: no figures to quote.")
    refused = guarded(run, "refused")
    if refused:
        lines.append(f"Relaylab refused {refused:,} messages.")
    lines += [
        f"{contender}: {counted.refused:,} refused, {counted.lost:,} lost, {counted.clear:,} in "
        "clear text."
        for contender, counted in totals(run.samples).items()
        if not contender.startswith(RELAY) and (counted.refused or counted.lost or counted.clear)
    ]
    lines += [f"Not measured: {contender}: {why}" for contender, why in run.missing.items()]
    return lines


def markdown(run: Run, found: Sequence[Finding]) -> str:
    """Return the chart's place, the settings, the table and the notes of a run."""
    settings = [f"- {key}: {text}" for key, text in run.machine.items()]
    ruler = tuple("--:" if heading in RIGHT else "---" for heading in HEADINGS)
    table = [f"| {' | '.join(line)} |" for line in (HEADINGS, ruler, *_lines(run, found))]
    return "\n".join(
        [IMAGE, "", *settings, "", *table, "", "\n".join(f"{line}\n" for line in notes(run))]
    )


def _lines(run: Run, found: Sequence[Finding]) -> tuple[tuple[str, ...], ...]:
    return (*map(cells, found), *guard_cells(run))


def to_json(run: Run, found: Sequence[Finding]) -> str:
    """Return all of a run: every sample, and what the rows came to."""
    form: dict[str, Any] = {
        "machine": run.machine,
        "settings": run.settings,
        "rounds": run.rounds,
        "scale": run.scale,
        "seconds": run.seconds,
        "loops": [loop.value for loop in run.loops],
        "missing": run.missing,
        "samples": {
            suite: {name: [_sample(one) for one in rounds] for name, rounds in contenders.items()}
            for suite, contenders in run.samples.items()
        },
        "rows": [
            {
                "row": finding.row.key,
                "loop": finding.loop.value if finding.loop else None,
                "relaylab": finding.ours,
                "peer": finding.theirs,
                "value": finding.value,
                "rounds": [finding.lowest, finding.highest],
                "state": finding.state.value,
            }
            for finding in found
        ],
    }
    return json.dumps(form, indent=1) + "\n"


def from_json(text: str) -> Run:
    """Read a run again; ValueError or KeyError where the text is none."""
    form = json.loads(text)
    run = Run(
        machine=form["machine"],
        settings=form["settings"],
        rounds=form["rounds"],
        scale=form["scale"],
        loops=tuple(map(Loop, form["loops"])),
        missing=form["missing"],
        seconds=form["seconds"],
    )
    for suite, contenders in form["samples"].items():
        for contender, rounds in contenders.items():
            for one in rounds:
                figures = {Figure(name): value for name, value in one["figures"].items()}
                counts = {name: one[name] for name in ("refused", "lost", "clear")}
                run.add(suite, contender, Sample(figures=figures, **counts))
    return run


def _sample(sample: Sample) -> dict[str, Any]:
    return {
        "figures": {figure.value: value for figure, value in sample.figures.items()},
        "refused": sample.refused,
        "lost": sample.lost,
        "clear": sample.clear,
    }


def _limit(row: Row, value: float | None) -> str:
    if value is None:
        return ""
    sign = "≥" if row.better is Better.HIGHER else "≤"
    return f"{sign} {_number(value)}{'x' if row.against is not None else row.figure.unit}"


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{_number(value)}{unit}"


def _number(value: float) -> str:
    """Return three digits' worth of a number, without an exponent and without needless zeros."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
