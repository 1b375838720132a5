"""`relay serve` as a process to be killed: what it says goes to a file, so that it never waits."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from e2e_command import RELAY, environment

from relay.cli.readyz import wait_until_ready
from relay.cli.serving import read_serving

PORTS = ("--smtp-port", "0", "--smtps-port", "0", "--no-submission")


@contextlib.contextmanager
def spawned(
    state: Path,
    policy: Path,
    *,
    command: tuple[str, ...] = (RELAY,),
    also: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a relay and do not wait for it; kill it at the end, if nobody has."""
    state.mkdir(exist_ok=True)
    with output_of(state).open("ab") as output:
        process = subprocess.Popen(
            [*command, "serve", "--state", str(state), "--policy", str(policy), *PORTS],
            env={**environment(state), **(also or {})},
            stdout=output,
            stderr=output,
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


def output_of(state: Path) -> Path:
    """Where what the relay says goes: beside its state directory, whose disk may be full."""
    return state.with_name(f"{state.name}.out")


def smtp_port(state: Path) -> int:
    """Wait until the relay greets; return its port for SMTP."""
    assert wait_until_ready(state / "serving.json", 60) == [], output_of(state).read_text()
    serving = read_serving(state / "serving.json")
    assert serving is not None
    return next(entry.port for entry in serving.listeners if entry.kind == "smtp")
