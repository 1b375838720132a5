"""Mixed mail over all scenarios for minutes, and whether the relay grows by it.

`make soak`, or `python benchmarks/soak.py [--minutes 10]` (`SOAK_MINUTES=1` for a try). Relay and
lab run in this process, under a clock that is `SPEED` times as fast, so that retries, expiry and
pruning happen by themselves. Each round sends a message to each of the next `OF_A_ROUND` scenarios,
from several clients, under one of several policies that are put in force in turn; then it waits
until nothing is in hand, forgets what the lab received, and takes a sample: memory, tasks,
descriptors, threads. The samples of each are drawn as one line. Exit code 1: the median of the last
third of the rounds behind the warm-up is above that of the first third by more than `ALLOWED`, the
relay logged an error, or its journal is damaged. 2: too few rounds to tell.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import aiosmtplib

from relay.config.policy_file import load_policy_text
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.journal.checking import check_journal
from relay.journal.pruning import Keep
from relay.lab.catalogue import LAB_SCENARIOS

SPEED: Final = 60
"""Seconds of the relay's clock in a second."""
CLIENTS: Final = 16
OF_A_ROUND: Final = 31
ENOUGH: Final = 9
"""Rounds at least."""
WARM_UP: Final = 1 / 3
"""The part of the rounds that nothing is concluded from."""
KEEP: Final = 300
"""Messages that the journal keeps."""
SETTLED_WITHIN: Final = 120.0
BLOCKS: Final = "▁▂▃▄▅▆▇█"
_COMMON: Final = "reply_within: 4s\ncommand_timeout: 2s\nconnect_timeout: 2s\n"
_RETRY: Final = "retry: {attempts: 2, first_delay: 2m, factor: 2, expire_after: 10m}\n"
POLICIES: Final = (
    f"tls: Required Verify\nreply: inline\nreuse: on\n{_COMMON}",
    f"tls: Preferred\nreply: queued\nreuse: on\n{_COMMON}{_RETRY}",
    f"tls: Required\nreply: inline\nreuse: off\n{_COMMON}",
    f"tls: Preferred Verify\nreply: queued\nreuse: off\n{_COMMON}{_RETRY}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What the process had when nothing was in hand; `memory` in KiB."""

    memory: int
    tasks: int
    descriptors: int
    threads: int


ALLOWED: Final = {
    "memory": (1.05, 2048),
    "tasks": (1.0, 8),
    "descriptors": (1.0, 16),
    "threads": (1.0, 2),
}
"""The growth that is none: a factor, and what is added. Sessions that are kept come and go."""


class FastClock:
    """A clock that runs `SPEED` times as fast from its making on."""

    def __init__(self) -> None:
        self._origin = datetime.now(UTC)
        self._began = time.monotonic()

    def now(self) -> datetime:
        """Return the time of this clock."""
        return self._origin + timedelta(seconds=(time.monotonic() - self._began) * SPEED)

    async def sleep_until(self, when: datetime) -> None:
        """Return at `when` of this clock."""
        await asyncio.sleep(max(0.0, (when - self.now()).total_seconds() / SPEED))


class Errors(logging.Handler):
    """Counts what the relay logs as an error, and shows each."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count and print it."""
        self.count += 1
        cause = record.exc_info[1] if record.exc_info else None
        say(f"logged: {record.getMessage()}" + (f": {cause!r}" if cause else ""))


class Soak:
    """A running relay and the traffic through it."""

    def __init__(self, relay: Relay) -> None:
        self._relay = relay
        self._number = 0
        self._names = cycle(LAB_SCENARIOS)
        self.replies: dict[str, int] = {}
        self.samples: list[Sample] = []

    async def round(self) -> None:
        """Send to the next scenarios, wait until all is settled, take a sample."""
        policy = POLICIES[len(self.samples) % len(POLICIES)]
        await self._relay.load(load_policy_text(policy, name="soak.yaml"))
        names = islice(self._names, OF_A_ROUND)

        async def client() -> None:
            for name in names:
                await self._send(name)

        async with asyncio.TaskGroup() as clients:
            for _ in range(CLIENTS):
                clients.create_task(client())
        await self._settled()
        self._relay.lab.reset()
        gc.collect()
        self.samples.append(sample())

    async def _send(self, name: str) -> None:
        self._number += 1
        message = (
            f"From: a@sender.test\r\nTo: anyone@{name}.lab.test\r\nSubject: {self._number}\r\n"
            f"Message-ID: <{self._number}@sender.test>\r\n\r\n"
        ).encode() + b"a line of some text\r\n" * (self._number % 7 * 100)
        port = self._relay.endpoints[0].port
        try:
            async with aiosmtplib.SMTP(
                hostname="127.0.0.1",
                port=port,
                start_tls=False,
                local_hostname="c.test",
                timeout=30,
            ) as smtp:
                await smtp.mail("a@sender.test")
                await smtp.rcpt(f"anyone@{name}.lab.test")
                code = (await smtp.data(message)).code
        except aiosmtplib.SMTPResponseException as error:
            code = error.code
        key = f"{code // 100}xx"
        self.replies[key] = self.replies.get(key, 0) + 1

    async def _settled(self) -> None:
        """Wait until no recipient is queued; on this clock the last retry is minutes away."""
        async with asyncio.timeout(SETTLED_WITHIN):
            while any(  # noqa: ASYNC110 - the journal has no event for it
                count
                for state, count in self._relay.journal.counts().recipients.items()
                if state.value in {"queued", "inline"}
            ):
                await asyncio.sleep(0.1)


def sample() -> Sample:
    """Look at this process; Linux's /proc says what it has."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return Sample(
        memory=pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        tasks=len(asyncio.all_tasks()),
        descriptors=len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - a count alone
        threads=threading.active_count(),
    )


def plot(values: list[int]) -> str:
    """Return the values as one line of blocks, the highest as a full one."""
    top = max(*values, 1)
    return "".join(BLOCKS[round(value / top * (len(BLOCKS) - 1))] for value in values)


def judged(samples: list[Sample]) -> list[str]:
    """Print each kind's plot and figures; return the kinds that grew."""
    behind = samples[round(len(samples) * WARM_UP) :]
    third = max(1, len(behind) // 3)
    grown = []
    for kind, (factor, more) in ALLOWED.items():
        values = [getattr(one, kind) for one in samples]
        steady = values[len(samples) - len(behind) :]
        first = statistics.median(steady[:third])
        last = statistics.median(steady[-third:])
        verdict = "steady" if last <= first * factor + more else "GREW"
        if verdict == "GREW":
            grown.append(kind)
        unit = " KiB" if kind == "memory" else ""
        say(f"{kind:12}{plot(values[-60:])}")
        say(f"{'':12}{first:g}{unit} behind the warm-up, {last:g}{unit} at the end: {verdict}")
    return grown


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)  # noqa: T201


async def run(directory: Path, minutes: float) -> int:
    """Run rounds until the minutes are over; return the exit code."""
    options = RelayOptions(
        listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
        journal=directory / "journal.sqlite3",
        bounce_lines=directory / "bounces.jsonl",
        certificates=directory / "certs",
        keep=Keep(messages=KEEP),
    )
    clock = FastClock()
    began = time.monotonic()
    policy = load_policy_text(POLICIES[0], name="soak.yaml")
    async with Relay(policy, options, clock=clock) as relay:
        soak = Soak(relay)
        while time.monotonic() - began < minutes * 60:
            await soak.round()
            last, seconds = soak.samples[-1], time.monotonic() - began
            say(
                f"round {len(soak.samples):3}, {seconds:4.0f} s: {last.memory} KiB, "
                f"{last.tasks} tasks, {last.descriptors} descriptors, {last.threads} threads"
            )
        kept = relay.journal.counts().messages
    told = ", ".join(f"{count} {code}" for code, count in sorted(soak.replies.items()))
    say(
        f"{len(soak.samples)} rounds over {len(LAB_SCENARIOS)} scenarios; replies: {told}; "
        f"{kept} messages kept"
    )
    if len(soak.samples) < ENOUGH:
        say(f"too few rounds to tell whether anything grows: {ENOUGH} are needed")
        return 2
    grown = judged(soak.samples)
    damages = check_journal(options.journal).damages
    for damage in damages:
        say(f"DAMAGED: {damage.where}: {damage.what}")
    return 1 if grown or damages else 0


def main() -> int:
    """Run it; 2 where there are too few rounds to conclude anything."""
    parser = argparse.ArgumentParser(description=__doc__)
    minutes = float(os.environ.get("SOAK_MINUTES", "10"))
    parser.add_argument("--minutes", type=float, default=minutes)
    options = parser.parse_args()
    errors = Errors()
    logging.getLogger().addHandler(errors)
    say(f"{options.minutes:g} minutes; the relay's clock runs {SPEED} times as fast")
    with TemporaryDirectory(prefix="relaylab-soak-") as directory:
        code = asyncio.run(run(Path(directory), options.minutes))
    say(f"{errors.count} errors logged")
    return code or min(errors.count, 1)


if __name__ == "__main__":
    sys.exit(main())
