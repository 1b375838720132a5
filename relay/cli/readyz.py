"""Whether a relay is ready: every one of its listeners accepts and greets, on HTTP too.

`python -m relay.cli.readyz` does the same with the standard library alone, for health checks.
"""

from __future__ import annotations

import argparse
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
    where = urlsplit(url)
    assert where.hostname is not None
    assert where.port is not None
    request = f"GET /livez HTTP/1.1\r\nHost: {where.netloc}\r\nConnection: close\r\n\r\n"
    try:
        with (
            socket.create_connection((where.hostname, where.port), timeout=STEP_TIMEOUT) as plain,
            _encrypted(plain) if where.scheme == "https" else plain as link,
        ):
            link.sendall(request.encode("ascii"))
            return link.recv(13) == b"HTTP/1.1 200 "
    except OSError:
        return False


def _encrypted(connection: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Readiness is asked, not trust; nothing secret is sent.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(connection)


def missing(serving: Serving | None) -> list[str]:
    """Return what is not ready yet, as short phrases; empty when all is."""
    if serving is None:
        return ["no relay serves from this state directory"]
    left = [
        f"{listener.kind} on {listener.host}:{listener.port} does not answer"
        for listener in serving.listeners
        if not greets(listener)
    ]
    if serving.web is not None and not answers(serving.web):
        left.append(f"web on {serving.web} does not answer")
    return left


def wait_until_ready(path: Path, seconds: float) -> list[str]:
    """Look until all is ready or time is up; return what is still missing."""
    end = time.monotonic() + seconds
    while (left := missing(read_serving(path))) and time.monotonic() < end:
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
