"""`relay lab serve`, in a process of its own."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from e2e_command import RELAY, environment


@dataclass(frozen=True, slots=True)
class ServingLab:
    """A lab that serves; `ready` is the document that it printed."""

    process: subprocess.Popen[str]
    ready: Mapping[str, Any]

    def port(self, scenario: str) -> int:
        found = next(r for r in self.ready["receivers"] if r["scenario"] == scenario)
        port: int = found["port"]
        return port

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


@contextlib.contextmanager
def lab_serving(state: Path, *words: str) -> Iterator[ServingLab]:
    """Start the lab with `--json` and wait until it says that it is ready."""
    with lab_process(state, "--json", *words) as process:
        assert process.stdout is not None
        document = ""
        for line in process.stdout:
            document += line
            if line == "}\n":
                break
        yield ServingLab(process, json.loads(document))


@contextlib.contextmanager
def lab_process(state: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [RELAY, "lab", "serve", *words],
        env=environment(state),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
