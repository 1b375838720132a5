"""Programs on loopback: started, waited for, looked at in /proc, and ended by their own ids."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GREETED_WITHIN = 40.0
ENDED_WITHIN = 12.0


class BenchError(Exception):
    """A run that can't go on; the text says why, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server that greets on `port` of 127.0.0.1; `pid` is the parent of all that it runs."""

    port: int
    pid: int


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def started(
    words: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program, both its outputs to a file; end it with SIGTERM, at last with SIGKILL."""
    with log.open("ab") as out:
        process = subprocess.Popen(  # noqa: S603 - our own words
            words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(ENDED_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def greeting(port: int, process: subprocess.Popen[bytes], *, log: Path) -> None:
    """Wait for the 220 of a server that is about to listen; BenchError if none comes."""
    deadline = time.monotonic() + GREETED_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        if greets(port):
            return
        time.sleep(0.003)
    last = log.read_text(errors="replace").strip().splitlines()[-1:]
    raise BenchError(f"no greeting on port {port} from {process.args!r}: {' '.join(last)}")


def greets(port: int) -> bool:
    """Say whether a server answers with 220; one that listens is waited for."""
    try:
        with socket.create_connection(("127.0.0.1", port), 2) as client:
            client.settimeout(GREETED_WITHIN)
            return client.recv(64).startswith(b"220")
    except OSError:
        return False


def processor_seconds(pid: int) -> float:
    """Return user and system time of a process, of its children, and of those that ended."""
    ticks = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        own, ended = sum(map(int, fields[11:13])), sum(map(int, fields[13:15]))
        if int(entry.name) == pid:
            ticks += own + ended
        elif int(fields[1]) == pid:
            ticks += own
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_kib(pid: int) -> int:
    """Return the memory of a process that is in RAM, in KiB."""
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise BenchError(f"process {pid} has ended")
    return int(found[1])
