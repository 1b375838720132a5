"""What the whole lab costs: start-up time, memory, and many sessions at once.

`make bench-lab`, or `python benchmarks/lab.py [--json]`. The lab runs in a fresh process for each
measured start; the clients run here. Everything is on 127.0.0.1 and stops by itself.
docs/performance.md has a measured run, and says what is not compared.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import platform
import ssl
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from os import cpu_count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from lab_sessions import SessionResult, run_sessions
from rich.console import Console
from rich.table import Table

from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lab.authority import LabAuthority

CHILD: Final = Path(__file__).parent / "lab_process.py"
READY_WITHIN: Final = 120.0
LIBRARIES: Final = ("relaylab", "aiosmtplib", "cryptography", "trustme")
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningLab:
    """A lab in its own process; `ready` are its figures and receivers, once all listen."""

    process: asyncio.subprocess.Process
    ready: Figures
    seconds: float

    @property
    def receivers(self) -> dict[str, HostAddress]:
        """Where each receiver listens."""
        return {
            name: HostAddress(name=host, address=address, port=port, mode=TlsMode(mode))
            for name, (host, address, port, mode) in self.ready["receivers"].items()
        }

    async def ask(self, what: str) -> Figures:
        """Return the lab's figures, once no session is open; `reset` also forgets what came."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n".encode())
        return await _line(self.process)


@contextlib.asynccontextmanager
async def running_lab(directory: Path) -> AsyncIterator[RunningLab]:
    """Start the lab in a fresh process, and end it."""
    begun = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(CHILD),
        str(directory),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=1 << 20,
    )
    try:
        ready = await _line(process)
        yield RunningLab(process=process, ready=ready, seconds=time.perf_counter() - begun)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


async def _line(process: asyncio.subprocess.Process) -> Figures:
    assert process.stdout is not None
    async with asyncio.timeout(READY_WITHIN):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("the lab's process ended early; what it said stands above")
    figures: Figures = json.loads(line)
    return figures


async def measure_starts(starts: int) -> dict[str, list[Figures]]:
    """Start the lab `starts` times with a new authority, and each time once more with that one."""
    measured: dict[str, list[Figures]] = {"new authority": [], "authority kept": []}
    for _ in range(starts):
        with TemporaryDirectory() as directory:
            for kind in measured.values():
                async with running_lab(Path(directory)) as lab:
                    kind.append({**lab.ready, "spawned": lab.seconds})
    return measured


async def measure_sessions(count: int, rounds: int, time_out: timedelta) -> dict[str, Any]:
    """Return the lab's figures before, after each round of `count` sessions, and in the end."""
    with TemporaryDirectory() as directory:
        async with running_lab(Path(directory)) as lab:
            receivers, authority = lab.receivers, LabAuthority(Path(directory))
            # The pipe's reader thread is there before anything is counted.
            before = await lab.ask("count")
            after = []
            kept = before["messages"]
            for _ in range(rounds):
                results = await run_sessions(receivers, authority, count=count, time_out=time_out)
                figures = await lab.ask("count")
                stored = figures["messages"] - kept
                kept = figures["messages"]
                after.append({**_summary(results, stored), **figures})
            return {
                "receivers": len(receivers),
                "before": before,
                "rounds": after,
                "forgotten": await lab.ask("reset"),
            }


def _summary(results: Sequence[SessionResult], stored: int) -> Figures:
    answered = [result.ended for result in results if not result.timed_out]
    delivered = sum(result.delivered for result in results)
    errors = [f"{r.scenario}: {r.error}" for r in results if r.error is not None]
    if delivered != stored:
        errors.append(f"{delivered} messages delivered, {stored} stored")
    return {
        "sessions": len(results),
        "answered": len(answered),
        "per_second": len(answered) / max(answered),
        "all_seconds": max(result.ended for result in results),
        "delivered": delivered,
        "errors": errors,
    }


def machine() -> dict[str, str]:
    """Return what the figures depend on."""
    return {
        "system": f"{platform.system()} {platform.machine()}, {cpu_count()} processors",
        "python": platform.python_version(),
        "openssl": ssl.OPENSSL_VERSION,
        **{name: version(name) for name in LIBRARIES},
    }


def show(report: dict[str, Any], console: Console) -> None:
    """Print the report for people."""
    for key, text in report["machine"].items():
        console.print(f"{key:<13} {text}", markup=False, highlight=False)
    starts = Table(title="Start-up in a fresh process, medians", title_justify="left", box=None)
    for heading in ("", "ready after", "lowest-highest", "the lab's part", "RSS", "PSS"):
        starts.add_column(heading, justify="right" if heading else "left")
    for kind, measured in report["starts"].items():
        seconds = [m["spawned"] for m in measured]
        starts.add_row(
            kind,
            f"{statistics.median(seconds):.2f} s",
            f"{min(seconds):.2f}-{max(seconds):.2f} s",
            f"{statistics.median(m['seconds'] for m in measured):.2f} s",
            *(_mib([m[key] for m in measured]) for key in ("rss", "pss")),
        )
    console.print()
    console.print(starts)
    load = report["load"]
    table = Table(title="Sessions at once", title_justify="left", box=None)
    for heading in ("", "answered", "per second", "errors", "RSS", "descriptors", "tasks"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("before", "", "", "", *_held(load["before"]))
    for number, figures in enumerate(load["rounds"], start=1):
        table.add_row(
            f"round {number}",
            f"{figures['answered']} of {figures['sessions']}",
            f"{figures['per_second']:.0f}",
            str(len(figures["errors"])),
            *_held(figures),
        )
    table.add_row("all forgotten", "", "", "", *_held(load["forgotten"]))
    console.print()
    console.print(table)
    console.print(f"over {load['receivers']} receivers; those that stay silent are given up")
    for error in (error for figures in load["rounds"] for error in figures["errors"]):
        console.print(f"error: {error}", markup=False, style="red")


def _held(figures: Figures) -> tuple[str, str, str]:
    return _mib([figures["rss"]]), str(figures["descriptors"]), str(figures["tasks"])


def _mib(kib: Sequence[int | None]) -> str:
    known = [number for number in kib if number is not None]
    return f"{statistics.median(known) / 1024:.0f} MiB" if known else "unknown"


def main() -> int:
    """Measure, print, and return 1 where a session went otherwise than its card says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--starts", type=int, default=5, help="measured starts of each kind")
    parser.add_argument("--sessions", type=int, default=200, help="sessions at the same time")
    parser.add_argument("--rounds", type=int, default=3, help="how often, one after another")
    parser.add_argument("--time-out", type=float, default=10.0, help="seconds for each answer")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    report: dict[str, Any] = {
        "machine": machine(),
        "starts": asyncio.run(measure_starts(options.starts)),
        "load": asyncio.run(
            measure_sessions(options.sessions, options.rounds, timedelta(seconds=options.time_out))
        ),
    }
    if options.json:
        for measured in report["starts"].values():
            for figures in measured:
                figures.pop("receivers")
        sys.stdout.write(json.dumps(report, indent=2) + "\n")
    else:
        show(report, Console())
    return int(any(figures["errors"] for figures in report["load"]["rounds"]))


if __name__ == "__main__":
    sys.exit(main())
