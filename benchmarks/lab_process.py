"""The whole lab in a process of its own: says what it costs, once ready and whenever asked.

Run by `benchmarks/lab.py`: `lab_process.py DIRECTORY`. Writes one line of JSON when every receiver
listens, and one for each line that it reads; an end of input ends it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab

IDLE_WITHIN = 60.0
"""Seconds for open sessions to end, once the clients are gone."""


def figures() -> dict[str, int | None]:
    """Return this process's memory in KiB, and what it holds open; None for what can't be read."""
    proc = Path("/proc/self")
    descriptors = Path("/dev/fd")
    return {
        "rss": _kib(proc / "status", "VmRSS:"),
        "pss": _kib(proc / "smaps_rollup", "Pss:"),
        "descriptors": sum(1 for _ in descriptors.iterdir()) if descriptors.exists() else None,
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
    }


def _kib(path: Path, key: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(key)), None)


async def serve(directory: Path) -> None:
    """Run the lab until the input ends."""
    begun = time.perf_counter()
    async with Lab(LabAuthority(directory), now=lambda: datetime.now(UTC)) as lab:
        endpoints = await lab.start_all()
        receivers = {
            name: [host.name, host.address, host.port, host.mode.value]
            for name, host in endpoints.items()
        }
        _say({"seconds": time.perf_counter() - begun, "receivers": receivers, **figures()})
        while asked := (await asyncio.to_thread(sys.stdin.readline)).strip():
            for name in endpoints:
                await lab.wait_until_idle(name, within=IDLE_WITHIN)
            messages = sum(len(lab.messages(name)) for name in endpoints)
            if asked == "reset":
                lab.reset()
                gc.collect()
            _say({"messages": messages, **figures()})


def _say(data: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(data) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
