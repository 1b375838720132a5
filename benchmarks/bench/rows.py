"""The table: what is compared with what, and how good is good enough. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, unique
from statistics import median
from typing import Final


@unique
class Loop(Enum):
    """The event loop under Relaylab; the value is its name for `relay serve`."""

    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


@unique
class Figure(Enum):
    """What one measurement yields; the value is its name in the JSON."""

    RATE = "messages-a-second"
    P99 = "p99-ms"
    CPU = "cpu-us"
    COST = "cost-us"
    LISTED = "list-ms"
    STARTED = "start-ms"
    MEMORY = "memory-kib"

    @property
    def unit(self) -> str:
        """The unit, as it is printed behind a number."""
        return (
            "/s"
            if self is Figure.RATE
            else {"ms": " ms", "us": " us", "kib": " KiB"}[self.value.rpartition("-")[2]]
        )


@unique
class Better(Enum):
    """Which way is better."""

    HIGHER = "at least"
    LOWER = "at most"


@unique
class State(Enum):
    """What a value reaches: its ambition, its floor, or neither."""

    AMBITION = "ambition"
    FLOOR = "floor"
    MISSED = "MISSED"
    UNKNOWN = "unknown"
    SHOWN = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One measurement of one contender in one round.

    `refused` counts messages that were not answered 250; `lost` those that were, and are nowhere;
    `clear` those that reached the next hop without TLS.
    """

    figures: Mapping[Figure, float]
    refused: int = 0
    lost: int = 0
    clear: int = 0


Samples = Mapping[str, Mapping[str, Sequence[Sample]]]
"""By suite and contender, a sample for each round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; `short` stands for its `measure` in the chart.

    `ours` and `against` name contenders of the suite; without `against` the figure itself is
    judged. A row without a floor is shown for comparison alone.
    """

    key: str
    short: str
    measure: str
    suite: str
    figure: Figure
    ours: str
    against: str | None = None
    better: Better = Better.HIGHER
    floor: float | None = None
    ambition: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a row came to under one loop; None stands for what could not be measured.

    `value` is the ratio of the medians, or the median itself where nothing is compared; `lowest`
    and `highest` are those of the single rounds.
    """

    row: Row
    loop: Loop | None
    ours: float | None
    theirs: float | None
    value: float | None
    lowest: float | None
    highest: float | None

    def times_floor(self) -> float | None:
        """Return how often the value is as good as its floor; None where there is no telling."""
        if self.value is None or self.row.floor is None:
            return None
        better = self.value / self.row.floor
        return better if self.row.better is Better.HIGHER else 1 / better

    @property
    def state(self) -> State:
        """How the value stands to floor and ambition."""
        row = self.row
        if row.floor is None or row.ambition is None:
            return State.SHOWN
        if self.value is None:
            return State.UNKNOWN
        sign = 1 if row.better is Better.HIGHER else -1
        if sign * self.value >= sign * row.ambition:
            return State.AMBITION
        return State.FLOOR if sign * self.value >= sign * row.floor else State.MISSED


RELAY: Final = "relay"
"""Contenders of ours begin with it; `name@loop` is one of them under that loop."""
SMALL: Final = "1 KiB, 10 sessions"

ROWS: Final = (
    Row(
        key="relay-reuse",
        short="relay, vs Postfix with reuse",
        measure=f"relay {SMALL}, verified STARTTLS, fsynced, reuse on: vs Postfix with reuse",
        suite="relay", figure=Figure.RATE, ours="relay", against="postfix-reuse",
        floor=3, ambition=6,
    ),
    Row(
        key="relay-default",
        short="relay, vs Postfix as it comes",
        measure="the same vs Postfix as it comes",
        suite="relay", figure=Figure.RATE, ours="relay", against="postfix",
        floor=5, ambition=10,
    ),
    Row(
        key="relay-fresh",
        short="relay, fresh TLS, vs Postfix",
        measure="one fresh verified TLS session for each message: vs Postfix as it comes",
        suite="relay", figure=Figure.RATE, ours="relay-fresh", against="postfix",
        floor=0.8, ambition=1.3,
    ),
    Row(
        key="relay-1mib",
        short="relay 1 MiB, vs Postfix with reuse",
        measure="relay 1 MiB, reuse on: vs Postfix with reuse",
        suite="relay-1mib", figure=Figure.RATE, ours="relay", against="postfix-reuse",
        floor=1, ambition=1.5,
    ),
    Row(
        key="relay-naive",
        short="relay, vs aiosmtpd + aiosmtplib",
        measure=f"relay {SMALL}: vs aiosmtpd + aiosmtplib.send, one context for all",
        suite="relay", figure=Figure.RATE, ours="relay", against="naive",
        floor=10, ambition=15,
    ),
    Row(
        key="receive-aiosmtpd",
        short="receive, vs plain aiosmtpd",
        measure=f"receive {SMALL}, stored durably: vs plain aiosmtpd, which discards",
        suite="receive", figure=Figure.RATE, ours="relay-receive", against="aiosmtpd",
        floor=2, ambition=4,
    ),
    Row(
        key="receive-maildev",
        short="receive, vs MailDev",
        measure="the same vs MailDev",
        suite="receive", figure=Figure.RATE, ours="relay-receive", against="maildev",
        floor=2, ambition=6,
    ),
    Row(
        key="receive-memory",
        short="receive in memory, vs smtp-sink",
        measure=f"receive {SMALL}, journal in memory: vs smtp-sink",
        suite="receive", figure=Figure.RATE, ours="relay-memory", against="smtp-sink",
        floor=0.4, ambition=0.6,
    ),
    Row(
        key="receive-1mib",
        short="receive 1 MiB, vs smtp-sink",
        measure="receive 1 MiB, stored durably: vs smtp-sink",
        suite="receive-1mib", figure=Figure.RATE, ours="relay-receive", against="smtp-sink",
        floor=0.8, ambition=1,
    ),
    Row(
        key="latency",
        short="p99 at 200/s, vs Postfix with reuse",
        measure="end-to-end p99 at 200 messages/s: vs Postfix with reuse",
        suite="latency", figure=Figure.P99, ours="relay", against="postfix-reuse",
        better=Better.LOWER, floor=0.5, ambition=0.2,
    ),
    Row(
        key="cpu",
        short="processor time of a message",
        measure="processor time of a relayed 1 KiB message, reuse on",
        suite="relay", figure=Figure.CPU, ours="relay",
        better=Better.LOWER, floor=500, ambition=300,
    ),
    Row(
        key="stored",
        short="cost at 100,000 stored, vs 10,000",
        measure="cost of a message in the journal, 100,000 stored: vs 10,000 stored",
        suite="journal", figure=Figure.COST, ours="100000", against="10000",
        better=Better.LOWER, floor=1.6, ambition=1.2,
    ),
    Row(
        key="newest",
        short="newest 50 of 100,000",
        measure="list of the newest 50 of 100,000",
        suite="journal", figure=Figure.LISTED, ours="100000",
        better=Better.LOWER, floor=5, ambition=1,
    ),
    Row(
        key="start",
        short="start, vs bare aiosmtpd",
        measure="start to the first 220: vs bare aiosmtpd",
        suite="start", figure=Figure.STARTED, ours="relay", against="aiosmtpd",
        better=Better.LOWER, floor=1.5, ambition=1.2,
    ),
    Row(
        key="idle",
        short="idle TLS session",
        measure="memory of an idle TLS session",
        suite="idle", figure=Figure.MEMORY, ours="relay",
        better=Better.LOWER, floor=100, ambition=40,
    ),
    # For comparison: nothing was promised about these.
    Row(
        key="receive-memory-1mib",
        short="receive 1 MiB in memory, vs smtp-sink",
        measure="receive 1 MiB, journal in memory: vs smtp-sink",
        suite="receive-1mib", figure=Figure.RATE, ours="relay-memory", against="smtp-sink",
    ),
    Row(
        key="receive-pipelined",
        short="receive pipelined, vs smtp-sink",
        measure=f"receive {SMALL}, pipelined, journal in memory: vs smtp-sink",
        suite="receive-pipelined", figure=Figure.RATE, ours="relay-memory", against="smtp-sink",
    ),
    Row(
        key="listeners",
        short="listeners alone, vs smtp-sink",
        measure=f"receive {SMALL}, the listeners alone, which discard: vs smtp-sink",
        suite="receive", figure=Figure.RATE, ours="relay-listeners", against="smtp-sink",
    ),
    Row(
        key="harness",
        short="smtp-sink, vs the tools' own sink",
        measure=f"receive {SMALL}: smtp-sink vs the measuring tools' own sink",
        suite="receive", figure=Figure.RATE, ours="smtp-sink", against="harness",
    ),
)  # fmt: skip


def chosen(keys: Sequence[str]) -> tuple[Row, ...]:
    """Return these rows in the table's order; all of them where none is named."""
    return tuple(row for row in ROWS if not keys or row.key in keys)


def wanted(rows: Sequence[Row]) -> dict[str, set[str]]:
    """Return which contenders each suite needs, without their loops."""
    suites: dict[str, set[str]] = {}
    for row in rows:
        suites.setdefault(row.suite, set()).update({row.ours, row.against or row.ours})
    return suites


def name_of(contender: str, loop: Loop | None) -> str:
    """Return the name under which samples of a contender are kept."""
    ours = contender == RELAY or contender.startswith(f"{RELAY}-")
    return f"{contender}@{loop.value}" if ours and loop is not None else contender


def findings(rows: Sequence[Row], samples: Samples, loops: Sequence[Loop]) -> tuple[Finding, ...]:
    """Return what the rows came to: once for each loop, or once where no loop is involved."""
    found = []
    for row in rows:
        under = tuple(loops) if name_of(row.ours, Loop.ASYNCIO) != row.ours else (None,)
        found += [_finding(row, samples.get(row.suite, {}), loop) for loop in under]
    return tuple(found)


def _finding(row: Row, suite: Mapping[str, Sequence[Sample]], loop: Loop | None) -> Finding:
    ours = _values(suite, name_of(row.ours, loop), row.figure)
    theirs = _values(suite, row.against, row.figure) if row.against is not None else []
    value, rounds = None, list[float]()
    if ours and row.against is None:
        value, rounds = median(ours), ours
    elif ours and theirs:
        value = median(ours) / median(theirs)
        rounds = [mine / other for mine, other in zip(ours, theirs, strict=False)]
    return Finding(
        row=row,
        loop=loop,
        ours=median(ours) if ours else None,
        theirs=median(theirs) if theirs else None,
        value=value,
        lowest=min(rounds, default=None),
        highest=max(rounds, default=None),
    )


def _values(suite: Mapping[str, Sequence[Sample]], contender: str, figure: Figure) -> list[float]:
    return [s.figures[figure] for s in suite.get(contender, ()) if s.figures.get(figure)]


def totals(samples: Samples) -> dict[str, Sample]:
    """Return for each contender what was refused, lost and sent in clear text, in all rounds."""
    counted: dict[str, Sample] = {}
    for suite in samples.values():
        for contender, rounds in suite.items():
            before = counted.get(contender, Sample(figures={}))
            counted[contender] = Sample(
                figures={},
                refused=before.refused + sum(sample.refused for sample in rounds),
                lost=before.lost + sum(sample.lost for sample in rounds),
                clear=before.clear + sum(sample.clear for sample in rounds),
            )
    return counted
