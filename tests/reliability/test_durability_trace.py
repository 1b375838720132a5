"""The journal's sync has returned before the 250 is written to the client.

kill -9 can't show this: what a dead process has written stays in the kernel, synced or not. Hence
the system calls themselves are looked at, and the test is tried on journals that do not sync.
"""

from __future__ import annotations

import os
import re
import signal
import smtplib
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from reliability_serve import smtp_port, spawned
from reliability_trace import Promises, promises

from relay.cli.serving import read_serving

CLIENTS, MESSAGES = 3, 4
CARELESS = str(Path(__file__).with_name("serve_with_synchronous.py"))

pytestmark = pytest.mark.timeout(180)


def traced(tmp_path: Path, *program: str) -> tuple[Promises, set[str]]:
    """Send messages to a relay under strace; return what its trace shows, and the ids told."""
    may_trace = subprocess.run(
        ["strace", "-f", "-o", os.devnull, "true"], capture_output=True, text=True, check=False
    )
    if may_trace.returncode != 0:
        pytest.fail(
            "strace may not trace here, so durability can't be shown "
            f"(in a container: --cap-add SYS_PTRACE): {may_trace.stderr.strip()}",
            pytrace=False,
        )
    state, policy, trace = tmp_path / "state", tmp_path / "policy.yaml", tmp_path / "trace"
    policy.write_text("tls: Off\nreply: queued\n")
    strace = ("strace", "-f", "-y", "-s", "8192", "--seccomp-bpf", "-o", str(trace))
    which = ("-e", "trace=pwrite64,pwritev,write,writev,sendto,sendmsg,fsync,fdatasync")
    with spawned(state, policy, command=(*strace, *which, *program)) as process:
        port = smtp_port(state)
        serving = read_serving(state / "serving.json")
        assert serving is not None
        try:
            with ThreadPoolExecutor(CLIENTS) as clients:
                told = dict(
                    pair for found in clients.map(_send, [port] * CLIENTS, "abc") for pair in found
                )
        finally:
            # The signal is for the relay: strace, killed, would leave it running.
            os.kill(serving.pid, signal.SIGTERM)
            process.wait(60)
    return promises(trace.read_text(), told), set(told)


def _send(port: int, client: str) -> list[tuple[str, str]]:
    """Send some messages; return the id that each was told, and a text of its body."""
    told = []
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as smtp:
        for number in range(MESSAGES):
            text = f"body-{client}-{number}-end"
            smtp.ehlo("client.test")
            smtp.mail("sender@example.test")
            smtp.rcpt("someone@example.test")
            code, reply = smtp.data(f"Subject: {number}\r\n\r\n{text}\r\n".encode())
            assert code == 250, reply
            queued_as = re.search(r"queued as (\w+)", reply.decode())
            assert queued_as is not None
            told.append((queued_as[1], text))
    return told


@pytest.mark.judge("strace")
def test_the_sync_has_returned_before_the_250_is_written(tmp_path: Path) -> None:
    found, told = traced(tmp_path, str(Path(sys.executable).with_name("relay")))
    assert len(told) == CLIENTS * MESSAGES
    assert (found.kept, found.broken) == (told, frozenset())


@pytest.mark.judge("strace")
@pytest.mark.parametrize("synchronous", ["OFF", "NORMAL"])
def test_a_journal_that_does_not_sync_is_found_out(tmp_path: Path, synchronous: str) -> None:
    """NORMAL syncs a write-ahead log at checkpoints alone (sqlite.org/pragma.html)."""
    found, told = traced(tmp_path, sys.executable, CARELESS, synchronous)
    assert len(told) == CLIENTS * MESSAGES
    assert found.broken == told


def test_the_checker_reads_calls_that_other_threads_interrupt() -> None:
    trace = "\n".join(
        [
            '7 pwrite64(5</s/journal.sqlite3-wal>, "1abc body", 9, 0) = 9',
            "7 fdatasync(5</s/journal.sqlite3-wal> <unfinished ...>",
            '8 sendto(9<socket:[1]>, "250 2.0.0 Ok: queued as 1abc\\r\\n", 30, 0, NULL, 0) = 30',
            "7 <... fdatasync resumed>)            = 0",
        ]
    )
    lines = trace.splitlines()
    early = promises(trace, {"1abc": "body"})
    in_order = promises("\n".join([*lines[:2], lines[3], lines[2]]), {"1abc": "body"})
    failed = promises(
        "\n".join([*lines[:2], lines[3].replace("= 0", "= -1 EIO"), lines[2]]), {"1abc": "body"}
    )
    before = promises("\n".join([lines[1], lines[3], lines[0], lines[2]]), {"1abc": "body"})
    assert (early.kept, early.broken) == (set(), {"1abc"})
    assert (in_order.kept, in_order.broken) == ({"1abc"}, set())
    assert failed.broken == before.broken == {"1abc"}
