"""Whether a relay is ready: every one of its listeners greets, and its journal can be written.

The relay itself tells of its journal, by its management port. One without that port is not asked,
but whether the journal's disk takes anything. `python -m relay.cli.readyz` does the same with the
standard library alone, for health checks.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import ssl
import sys
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from relay.cli.serving import Listening, Serving, read_serving

STEP_TIMEOUT = 2.0
"""Seconds for one connection and its greeting."""
PAUSE = 0.1
"""Seconds between two looks."""
ROOM = 64 * 1024
"""Octets that a disk must take: the journal's own for a message of ordinary size."""
TOLD_WITHIN = 10.0
"""Seconds that a relay may take to find out: it connects to itself, and a disk may be slow."""
_LONGEST_ANSWER = 1024 * 1024
_NOBODY = "no relay serves from this state directory"


def greets(listener: Listening) -> bool:
    """Whether a listener accepts a connection and gives an SMTP greeting."""
    address = (listener.host, listener.port)
    try:
        with socket.create_connection(address, timeout=STEP_TIMEOUT) as connection:
            if listener.kind != "smtps":
                return connection.recv(4) == b"220 "
            with _encrypted(connection) as encrypted:
                return encrypted.recv(4) == b"220 "
    except OSError:
        return False


def answers(url: str) -> bool:
    """Whether a management port answers over HTTP or HTTPS that it is live."""
    return _answer(url, "/livez", within=STEP_TIMEOUT).startswith(b"HTTP/1.1 200 ")


def told_missing(url: str) -> list[str]:
    """Return what a relay's management port says is not ready, its own silence included."""
    head, _, body = _answer(url, "/readyz", within=TOLD_WITHIN).partition(b"\r\n\r\n")
    if head.startswith(b"HTTP/1.1 200 "):
        return []
    try:
        return [str(phrase) for phrase in json.loads(body)["missing"]]
    except (ValueError, KeyError, TypeError):
        return [f"web on {url} does not answer"]


def _answer(url: str, path: str, *, within: float) -> bytes:
    """Return all that a management port answers to a GET; nothing where it does not."""
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    request = f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n"
    answer = bytearray()
    try:
        with (
            socket.create_connection((where.hostname, where.port), timeout=STEP_TIMEOUT) as plain,
            _encrypted(plain) if where.scheme == "https" else plain as link,
        ):
            link.settimeout(within)
            link.sendall(request.encode("ascii"))
            while len(answer) < _LONGEST_ANSWER and (part := link.recv(65536)):
                answer += part
    except OSError:
        return b""
    return bytes(answer)


def without_room(directory: Path) -> list[str]:
    """Return why a directory's disk takes nothing more; nothing where it does, or nobody can say.

    What was written there has no name and is gone at once, whatever happens.
    """
    import tempfile

    try:
        with tempfile.TemporaryFile(dir=directory, buffering=0) as file:
            left = memoryview(bytes(ROOM))
            while left:
                left = left[file.write(left) :]
    except PermissionError:
        # Another user's directory: the relay itself may well write there.
        return []
    except OSError as error:
        return [f"the journal can't be written: {error.strerror}"]
    return []


def _encrypted(connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Readiness is asked, not trust; nothing secret is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def missing(serving: Serving | None) -> list[str]:
    """Return what does not answer, as short phrases; what a relay finds of itself."""
    if serving is None:
        return [_NOBODY]
    left = _silent(serving)
    if serving.web is not None and not answers(serving.web):
        left.append(f"web on {serving.web} does not answer")
    return left


def _silent(serving: Serving) -> list[str]:
    return [
        f"{listener.kind} on {listener.host}:{listener.port} does not answer"
        for listener in serving.listeners
        if not greets(listener)
    ]


def not_ready(note: Path) -> list[str]:
    """Return what is not ready of the relay that left a note in its state directory.

    As short phrases, each once; empty when all is.
    """
    serving = read_serving(note)
    if serving is None:
        return [_NOBODY]
    told = told_missing(serving.web) if serving.web is not None else without_room(note.parent)
    return list(dict.fromkeys([*_silent(serving), *told]))


def wait_until_ready(path: Path, seconds: float) -> list[str]:
    """Look until all is ready or time is up; return what is still missing."""
    end = time.monotonic() + seconds
    while (left := not_ready(path)) and time.monotonic() < end:
        threading.Event().wait(PAUSE)
    return left


def main() -> int:
    """Check once; exit 0 when ready, 1 when not."""
    parser = argparse.ArgumentParser(prog="relay-readyz", description=__doc__)
    parser.add_argument("--state", type=Path, default=os.environ.get("RELAY_STATE"))
    parser.add_argument("--wait", type=float, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    if options.state is None:
        from relay.cli.state import default_state_dir

        options.state = default_state_dir()
    left = wait_until_ready(Path(options.state) / "serving.json", options.wait)
    for phrase in left:
        print(f"not ready: {phrase}", file=sys.stderr)  # noqa: T201 - a program of its own
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
