"""A private Postfix: its own configuration, queue and log, with the settings of peers/postfix."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.bench.installing import POSTFIX, REPOSITORY
from benchmarks.bench.processes import ENDED_WITHIN, Server, free_port, greeting, started

SETTINGS = REPOSITORY / "benchmarks/peers/postfix"


@contextlib.contextmanager
def postfix(next_port: int, *, ca: Path, reuse: bool) -> Iterator[Server]:
    """Run a Postfix that relays to the sink; its queue is on the disk of the temporary files."""
    base = Path(tempfile.mkdtemp(prefix="relaylab-bench-postfix-"))
    port = free_port()
    try:
        base.chmod(0o755)
        owner = pwd.getpwnam("postfix")
        for name in ("conf", "queue", "data"):
            (base / name).mkdir()
        os.chown(base / "data", owner.pw_uid, owner.pw_gid)
        # Its own processes may not look into the directory of whoever runs this.
        own_ca = Path(shutil.copy(ca, base / "ca.pem"))
        own_ca.chmod(0o644)
        main = (SETTINGS / "main.cf").read_text() + (
            (SETTINGS / "reuse.cf").read_text() if reuse else ""
        )
        (base / "conf/main.cf").write_text(main.format(base=base, ca=own_ca, next_port=next_port))
        (base / "conf/master.cf").write_text((SETTINGS / "master.cf").read_text().format(port=port))
        words = [str(POSTFIX), "-c", str(base / "conf"), "start-fg"]
        with started(words, log=base / "out") as process:
            try:
                greeting(port, process, log=base / "out")
                yield Server(port=port, pid=_master(base))
            finally:
                _end(base)
    finally:
        shutil.rmtree(base, ignore_errors=True)


def _master(base: Path) -> int:
    return int((base / "queue/pid/master.pid").read_text())


def _end(base: Path) -> None:
    """End the daemon, which is not the process that was started, and wait until it is gone."""
    try:
        pid = _master(base)
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + ENDED_WITHIN
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.05)
    except (OSError, ValueError):
        return
