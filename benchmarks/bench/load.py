"""The load generator and the sink: built from benchmarks/load, run, and read."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from benchmarks.bench.processes import BenchError, Server, free_port, greeting, started

SOURCES = Path(__file__).parents[1] / "load"
PATIENCE = 120
"""Seconds after which no further message is begun; a load gives up a minute later."""
DRAINED_WITHIN = 60.0
APT = "apt-get install build-essential libssl-dev"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """The two programs, built; and a CA, with the sink's certificate and key in one file."""

    smtpload: Path
    tlssink: Path
    ca: Path
    sink_pem: Path


def build(directory: Path) -> Tools:
    """Compile the programs and make the certificates; BenchError says what is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError(f"no C compiler 'cc' for benchmarks/load: {APT}")
    for name in ("smtpload", "tlssink"):
        words = [compiler, "-O2", "-Wall", "-o", str(directory / name), str(SOURCES / f"{name}.c")]
        done = subprocess.run(  # noqa: S603 - our own words
            [*words, "-lssl", "-lcrypto", "-lpthread"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = done.stderr.strip().splitlines()[:1]
            raise BenchError(f"{name}.c does not compile ({' '.join(last)}); needed: {APT}")
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    certificate = authority.issue_cert("localhost", "127.0.0.1", key_type=trustme.KeyType.ECDSA)
    authority.cert_pem.write_to_path(str(directory / "ca.pem"))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "sink.pem"))
    return Tools(
        smtpload=directory / "smtpload",
        tlssink=directory / "tlssink",
        ca=directory / "ca.pem",
        sink_pem=directory / "sink.pem",
    )


def load(tools: Tools, port: int, words: Sequence[str]) -> dict[str, Any]:
    """Send one load to a server; return smtpload's JSON. BenchError where it ended without."""
    command = [str(tools.smtpload), "-w", str(PATIENCE), *words, str(port)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode not in (0, 1):
        raise BenchError(f"{' '.join(command)}: {done.stderr.strip()}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer | {"said": done.stderr.strip()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sink:
    """The next hop of every relay."""

    port: int

    def _ask(self, command: str) -> bytes:
        with (
            socket.create_connection(("127.0.0.1", self.port), 10) as client,
            client.makefile("rwb") as file,
        ):
            file.readline()
            file.write(f"{command}\r\nQUIT\r\n".encode())
            file.flush()
            return file.readline()

    def reset(self) -> None:
        """Begin to count at zero."""
        self._ask("XRESET")

    def counters(self) -> dict[str, int]:
        """Return what it counted since."""
        counted: dict[str, int] = json.loads(self._ask("XSTAT")[4:])
        return counted

    def once_it_has(self, messages: int) -> dict[str, int]:
        """Return the counters as soon as so many messages are here, or when patience ends."""
        deadline = time.monotonic() + DRAINED_WITHIN
        while (counted := self.counters())["msgs"] < messages and time.monotonic() < deadline:
            time.sleep(0.02)
        return counted


@contextlib.contextmanager
def sink(tools: Tools, *, log: Path, tls: bool) -> Iterator[Server]:
    """Run the sink; without TLS it is the limit of what can be measured with these tools."""
    port = free_port()
    words = [str(tools.tlssink), "-p", str(port)]
    if tls:
        words += ["-c", str(tools.sink_pem)]
    with started(words, log=log) as process:
        greeting(port, process, log=log)
        yield Server(port=port, pid=process.pid)
