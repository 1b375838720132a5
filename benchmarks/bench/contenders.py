"""Who is measured: Relaylab as a user starts it, and its peers. Each is a server on loopback."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from shutil import disk_usage
from typing import Final

from benchmarks.bench.installing import (
    MAILDEV_COMMAND,
    REPOSITORY,
    SMTP_SINK,
    why_no_maildev,
    why_no_postfix,
)
from benchmarks.bench.load import Tools, sink
from benchmarks.bench.postfix import postfix
from benchmarks.bench.processes import Server, free_port, greeting, started
from benchmarks.bench.rows import Loop

RELAY_COMMAND: Final = Path(sys.executable).parent / "relay"
PEERS: Final = REPOSITORY / "benchmarks/peers"
MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a tmpfs is what is meant

MEMORY_NEEDED: Final = 3 * 2**30
"""Octets: what five rounds on two loops leave there."""

RELAYING: Final = """\
tls: Required Verify
trust: [{ca}]
relay: "smtp://localhost:{port}"
reuse: {reuse}
"""
RECEIVING: Final = """\
reply: queued
command_timeout: 60s
relay: "smtp://127.0.0.1:{port}"
"""


@cache
def loops() -> tuple[Loop, ...]:
    """Return the event loops that `relay serve` can run on here."""
    if importlib.util.find_spec("uvloop") is None or "--loop" not in _serve_help():
        return (Loop.ASYNCIO,)
    return (Loop.ASYNCIO, Loop.UVLOOP)


@cache
def _serve_help() -> str:
    words = [str(RELAY_COMMAND), "serve", "--help"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout  # noqa: S603


def why_missing(contender: str) -> str | None:
    """Say why a contender can't be measured here, having tried to install what it needs."""
    match contender:
        case "postfix" | "postfix-reuse":
            return why_no_postfix(needs_root=True)
        case "smtp-sink":
            return why_no_postfix(needs_root=False)
        case "maildev":
            return why_no_maildev()
        case "relay-memory" if not MEMORY.is_dir() or disk_usage(MEMORY).free < MEMORY_NEEDED:
            return f"a journal in memory needs {MEMORY_NEEDED / 2**30:.0f} GiB free in {MEMORY}"
        case _:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A contender that serves; `journal` is where ours keeps its messages."""

    server: Server
    journal: Path | None = None


@dataclass(slots=True, kw_only=True)
class Grounds:
    """What all contenders of a run share: the tools, the sink, and a directory."""

    tools: Tools
    directory: Path
    sink_port: int
    _silent: socket.socket = field(
        default_factory=lambda: socket.create_server(("127.0.0.1", 0), backlog=128)
    )

    def close(self) -> None:
        """Close the next hop that never answers."""
        self._silent.close()

    @property
    def silent_port(self) -> int:
        """Where connections are taken by the system, and nobody ever says anything."""
        port: int = self._silent.getsockname()[1]
        return port

    @contextlib.contextmanager
    def running(self, contender: str) -> Iterator[Running]:
        """Start a contender by its name, and end it."""
        kind, _, loop = contender.partition("@")
        log = self.directory / f"{contender}.log"
        port = free_port()
        match kind:
            case "relay" | "relay-fresh" | "relay-receive" | "relay-memory":
                with self._relay(kind, Loop(loop), log=log) as running:
                    yield running
                return
            case "postfix" | "postfix-reuse":
                with postfix(
                    self.sink_port, ca=self.tools.ca, reuse=kind == "postfix-reuse"
                ) as server:
                    yield Running(server=server)
                return
            case "harness":
                with sink(self.tools, log=log, tls=False) as server:
                    yield Running(server=server)
                return
            case "relay-listeners":
                words = [sys.executable, str(PEERS / "listeners.py"), str(port), loop]
            case "aiosmtpd":
                words = aiosmtpd(port)
            case "naive":
                words = [sys.executable, str(PEERS / "aiosmtpd_naive.py"), str(port)]
                words += [str(self.sink_port), str(self.tools.ca)]
            case "smtp-sink":
                as_user = ["-u", "postfix"] if os.geteuid() == 0 else []
                words = [str(SMTP_SINK), *as_user, f"127.0.0.1:{port}", "500"]
            case "maildev":
                words = ["node", str(MAILDEV_COMMAND), "--silent", "--ip", "127.0.0.1"]
                words += ["--smtp", str(port), "--web", str(free_port())]
                words += ["--mail-directory", str(self.directory / "maildev")]
            case _:
                raise ValueError(contender)
        with started(words, log=log) as process:
            greeting(port, process, log=log)
            yield Running(server=Server(port=port, pid=process.pid))

    @contextlib.contextmanager
    def _relay(self, kind: str, loop: Loop, *, log: Path) -> Iterator[Running]:
        text = RECEIVING.format(port=self.silent_port)
        if kind in {"relay", "relay-fresh"}:
            reuse = "on" if kind == "relay" else "off"
            text = RELAYING.format(ca=self.tools.ca, port=self.sink_port, reuse=reuse)
        where = MEMORY if kind == "relay-memory" else self.directory
        with tempfile.TemporaryDirectory(prefix="relaylab-bench-", dir=where) as name:
            state, port = Path(name), free_port()
            policy = state / "policy.yaml"
            policy.write_text(text)
            words = serve(port, policy=policy, state=state, loop=loop)
            with started(words, log=log, env=environment()) as process:
                greeting(port, process, log=log)
                server = Server(port=port, pid=process.pid)
                yield Running(server=server, journal=state / "journal.sqlite3")


def serve(port: int, *, policy: Path, state: Path, loop: Loop) -> list[str]:
    """Return the command that starts the relay as a user does, at ports that are free."""
    words = [str(RELAY_COMMAND), "serve", "--policy", str(policy), "--state", str(state)]
    words += ["--smtp-port", str(port), "--smtps-port", "0", "--submission-port", "0"]
    words += ["--web-port", "0"]
    return words + (["--loop", loop.value] if "--loop" in _serve_help() else [])


def environment() -> Mapping[str, str]:
    """Return this environment without the settings of somebody's own relay.

    Python may keep what it has compiled, as it does for users; else a start would compile anew.
    """
    return {
        name: text
        for name, text in os.environ.items()
        if not name.startswith("RELAY_") and name != "PYTHONDONTWRITEBYTECODE"
    }


def aiosmtpd(port: int) -> list[str]:
    """Return the command that starts plain aiosmtpd."""
    return [sys.executable, str(PEERS / "aiosmtpd_discard.py"), str(port)]
