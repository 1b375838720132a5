"""The installed `relay` command, in processes of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from relay.cli.serving import Serving, read_serving

RELAY = str(Path(sys.executable).with_name("relay"))


def environment(state: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RELAY_", "COLUMNS"))}
    # Without a management port, whose default would be taken when tests run side by side.
    return {**kept, "RELAY_STATE": str(state), "RELAY_WEB": "false", "PYTHONUNBUFFERED": "1"}


def relay(
    state: Path, *words: str, stdin: str | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [RELAY, *words],
        env=environment(state),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=cwd,
    )


class ServingProcess:
    """A `relay serve` process."""

    def __init__(self, process: subprocess.Popen[str], state: Path) -> None:
        self.process = process
        self.state = state

    @property
    def note(self) -> Serving:
        note = read_serving(self.state / "serving.json")
        assert note is not None
        return note

    def port(self, kind: str = "smtp") -> int:
        return next(entry.port for entry in self.note.listeners if entry.kind == kind)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@contextlib.contextmanager
def serving(state: Path, *words: str, cwd: Path | None = None) -> Iterator[ServingProcess]:
    """Start `relay serve` on free ports and wait, by `relay readyz --wait`, until it is ready."""
    ports = ("--smtp-port", "0", "--smtps-port", "0", "--submission-port", "0")
    with subprocess.Popen(
        [RELAY, "serve", *ports, *words],
        cwd=cwd,
        env=environment(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            ready = relay(state, "readyz", "--wait")
            assert ready.returncode == 0, (ready.stderr, process.poll())
            yield ServingProcess(process, state)
        finally:
            if process.poll() is None:
                process.kill()
