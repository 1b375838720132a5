"""How a contender is measured in each suite: one round, one sample."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.bench.contenders import (
    MEMORY,
    RECEIVING,
    RELAYING,
    Grounds,
    Running,
    aiosmtpd,
    environment,
    serve,
)
from benchmarks.bench.installing import REPOSITORY
from benchmarks.bench.load import Sink, load
from benchmarks.bench.postfix import SETTINGS
from benchmarks.bench.processes import (
    BenchError,
    free_port,
    greets,
    processor_seconds,
    resident_kib,
    started,
)
from benchmarks.bench.rows import Figure, Loop, Row, Sample, wanted
from relay.journal.browsing import open_browser

IDLE_FIRST: Final = 30
IDLE_SESSIONS: Final = 60
"""With the first ones below the relay's limit of sessions from one address."""
IDLE_SECONDS: Final = 4
JOURNAL_SIZES: Final = (10_000, 100_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What smtpload is told, and how many messages each contender gets: about two seconds' worth.

    `messages` names those that differ from `usual`.
    """

    words: tuple[str, ...]
    usual: int
    messages: tuple[tuple[str, int], ...] = ()

    def of(self, contender: str, scale: float) -> list[str]:
        """Return smtpload's words for a contender."""
        kind = contender.partition("@")[0]
        count = dict(self.messages).get(kind, self.usual)
        return [*self.words, "-m", str(max(20, round(count * scale)))]


RELAYED: Final = {
    "relay": Load(
        words=("-s", "10", "-P"),
        usual=2000,
        messages=(("postfix", 700), ("postfix-reuse", 1200), ("naive", 500), ("relay-fresh", 700)),
    ),
    "relay-1mib": Load(words=("-s", "10", "-P", "-l", "1048576"), usual=120),
    "latency": Load(words=("-s", "20", "-P", "-n", "1", "-r", "200"), usual=800),
}
RECEIVED: Final = {
    "receive": Load(
        words=("-s", "10"),
        usual=3000,
        messages=(("smtp-sink", 30_000), ("harness", 60_000), ("relay-listeners", 8000)),
    ),
    "receive-pipelined": Load(
        words=("-s", "10", "-P"), usual=3000, messages=(("smtp-sink", 50_000),)
    ),
    "receive-1mib": Load(
        words=("-s", "10", "-l", "1048576"), usual=200, messages=(("smtp-sink", 400),)
    ),
}
SERVED: Final = {*RELAYED, *RECEIVED}
"""The suites whose contenders run all the time; the others start what they measure."""


def measure(
    suite: str, contender: str, running: Running | None, grounds: Grounds, *, scale: float
) -> Sample:
    """Measure one contender in one suite, once."""
    if suite in RELAYED:
        assert running is not None
        return _relayed(running, RELAYED[suite].of(contender, scale), grounds)
    if suite in RECEIVED:
        assert running is not None
        return _received(running, RECEIVED[suite].of(contender, scale), grounds)
    loop = Loop(contender.partition("@")[2] or Loop.ASYNCIO.value)
    if suite == "start":
        return Sample(figures={Figure.STARTED: _start(contender, loop, grounds)})
    if suite == "idle":
        return Sample(figures={Figure.MEMORY: _idle(contender, grounds)})
    raise ValueError(suite)


def _relayed(running: Running, words: Sequence[str], grounds: Grounds) -> Sample:
    """Load a relay; count at the sink, until it has all that was accepted."""
    sink = Sink(port=grounds.sink_port)
    sink.reset()
    used, begun = processor_seconds(running.server.pid), time.monotonic_ns()
    sent = load(grounds.tools, running.server.port, words)
    counted = sink.once_it_has(sent["msgs"])
    used = processor_seconds(running.server.pid) - used
    seconds = (counted["last_ns"] - begun) / 1e9
    return Sample(
        figures={
            Figure.RATE: counted["msgs"] / seconds if counted["msgs"] else 0,
            Figure.P99: counted["p99us"] / 1000,
            Figure.CPU: used / max(1, counted["msgs"]) * 1e6,
        },
        refused=sent["errors"] + sent["unsent"],
        lost=max(0, sent["msgs"] - counted["msgs"]),
        clear=counted["plain_msgs"],
    )


def _received(running: Running, words: Sequence[str], grounds: Grounds) -> Sample:
    """Load a receiver; what ours said 250 to must be in its journal."""
    before = _stored(running.journal)
    sent = load(grounds.tools, running.server.port, words)
    kept = sent["msgs"] if running.journal is None else _stored(running.journal) - before
    return Sample(
        figures={Figure.RATE: sent["rate"], Figure.P99: sent["p99us"] / 1000},
        refused=sent["errors"] + sent["unsent"],
        lost=max(0, sent["msgs"] - kept),
    )


def _stored(journal: Path | None) -> int:
    if journal is None:
        return 0
    with closing(open_browser(journal)) as browser:
        return browser.counts().messages


def _start(contender: str, loop: Loop, grounds: Grounds) -> float:
    """Return the milliseconds from the command to the first 220.

    The relay has been started before in this directory, so that its certificates are made.
    """
    port, log = free_port(), grounds.directory / f"start-{contender}.log"
    words, env = aiosmtpd(port), environment()
    if contender != "aiosmtpd":
        state = grounds.directory / f"start-{contender}"
        state.mkdir(exist_ok=True)
        policy = state / "policy.yaml"
        known = policy.exists()
        policy.write_text(RECEIVING.format(port=grounds.silent_port))
        if not known:
            _start(contender, loop, grounds)
        words = serve(port, policy=policy, state=state, loop=loop)
    begun = time.perf_counter()
    with started(words, log=log, env=env) as process:
        while not greets(port):
            if process.poll() is not None or time.perf_counter() - begun > 40:
                raise BenchError(f"{contender} does not start; see {log}")
            time.sleep(0.002)
        return (time.perf_counter() - begun) * 1000


def _idle(contender: str, grounds: Grounds) -> float:
    """Return how many KiB a relay grows by for each idle TLS session beyond the first ones.

    The first ones bring what all share: libraries, certificates, buffers that are used again.
    """
    with grounds.running(contender) as running, contextlib.ExitStack() as clients:
        server = running.server
        load(grounds.tools, server.port, ["-s", "2", "-m", "20", "-T"])
        resident, opened = list[int](), list[subprocess.Popen[bytes]]()
        for sessions, seconds in ((IDLE_FIRST, 2 * IDLE_SECONDS), (IDLE_SESSIONS, IDLE_SECONDS)):
            words = ["-w", "60", "-s", str(sessions), "-I", str(seconds), "-T"]
            command = [str(grounds.tools.smtpload), *words, str(server.port)]
            process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603
            opened.append(clients.enter_context(process))
            time.sleep(IDLE_SECONDS - 0.7)
            resident.append(resident_kib(server.pid))
        held = sum(json.loads(process.communicate()[0])["msgs"] for process in opened)
    if held != IDLE_FIRST + IDLE_SESSIONS:
        raise BenchError(f"{held} idle sessions could be opened")
    return (resident[1] - resident[0]) / IDLE_SESSIONS


def settings(rows: Sequence[Row]) -> dict[str, str]:
    """Return what everybody is told, in the order in which it is printed."""
    loads = {name: " ".join(one.of("", 1.0)) for name, one in {**RELAYED, **RECEIVED}.items()}
    needed = wanted(rows)
    return {
        "relay": _told(RELAYING.format(ca="CA.pem", port="SINK", reuse="on")),
        "relay-fresh": "the same with reuse: off",
        "relay-receive": _told(RECEIVING.format(port="SILENT")),
        "relay-memory": f"the same with --state below {MEMORY}",
        "postfix": _told((SETTINGS / "main.cf").read_text(), only="smtp_tls"),
        "postfix-reuse": f"the same, {_told((SETTINGS / 'reuse.cf').read_text())}",
    } | {f"smtpload for {name}": words for name, words in loads.items() if name in needed}


def _told(text: str, *, only: str = "") -> str:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return "; ".join(line for line in lines if line.startswith(only))


def journal(*, scale: float) -> dict[str, Sample]:
    """Measure what a message and a list cost, by `make bench-journal`'s own program."""
    sizes = [str(max(500, round(size * scale))) for size in JOURNAL_SIZES]
    words = [sys.executable, str(REPOSITORY / "benchmarks/journal.py"), "--json", "--sizes", *sizes]
    done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise BenchError(f"benchmarks/journal.py: {done.stderr.strip().splitlines()[-1:]}")
    found = json.loads(done.stdout)["sizes"]
    return {
        str(whole): Sample(
            figures={
                Figure.COST: found[size]["microseconds of a message"],
                Figure.LISTED: found[size]["milliseconds of a list"]["newest"],
            }
        )
        for whole, size in zip(JOURNAL_SIZES, sizes, strict=True)
    }


def end_all(servers: Sequence[Running]) -> None:
    """Tell all servers to end, so that those that take their time do so together."""
    for running in servers:
        try:
            os.kill(running.server.pid, signal.SIGTERM)
        except OSError:
            continue


def scratch() -> tempfile.TemporaryDirectory[str]:
    """Return a directory of a run's own, on the disk of temporary files."""
    return tempfile.TemporaryDirectory(prefix="relaylab-bench-", ignore_cleanup_errors=True)
