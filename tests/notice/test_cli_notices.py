"""`relay serve` and notices: what it takes, what it refuses, and that it keeps the secret."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from queue import Queue

import pytest
from e2e_command import relay, serving
from notice_records import SECRET

from relay.cli.noticing import notice_options


@pytest.fixture
def hook() -> Iterator[tuple[int, Queue[tuple[str, bytes]]]]:
    """A web server in a thread; gives its port, and what it was sent."""
    requests: Queue[tuple[str, bytes]] = Queue()

    class Taker(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.put((self.headers["Relaylab-Signature"], body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Taker) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, requests
        server.shutdown()
        thread.join()


def test_a_webhook_with_its_secret_in_a_file(
    tmp_path: Path, hook: tuple[int, Queue[tuple[str, bytes]]]
) -> None:
    port, requests = hook
    secret = tmp_path / "secret"
    secret.write_bytes(SECRET + b"\n")
    state = tmp_path / "state"
    flags = ("--webhook", f"http://127.0.0.1:{port}/n", "--webhook-secret-file", str(secret))
    with serving(state, *flags, "--notice-mail", "admin@crm.test") as server:
        assert relay(state, "send", "a@expired.lab.test").returncode == 1
        (first, second) = (requests.get(timeout=30) for _ in range(2))
        code, out, err = server.stop()
    assert (code, err) == (0, "Stopping: no new sessions, finishing what is in hand.\n")
    assert f"Notices go by webhook http://127.0.0.1:{port} and mail to admin@crm.test." in out
    assert [json.loads(body)["kind"] for _, body in (first, second)] == [
        "first-tls-failure",
        "bounced",
    ]
    assert first[0].startswith("t=")
    kept = [file for file in state.rglob("*") if file.is_file()]
    assert not any(SECRET in file.read_bytes() for file in kept)
    assert SECRET.decode() not in out + err


def test_the_secret_may_be_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_WEBHOOK_SECRET", SECRET.decode())
    options = notice_options(
        webhook="http://127.0.0.1:9/", secret_file=None, mail=None, window="10m"
    )
    assert options is not None
    assert options.webhook is not None
    assert (options.webhook.secret, options.window) == (SECRET, timedelta(minutes=10))


@pytest.mark.parametrize(
    ("words", "secret", "said"),
    [
        ("--webhook http://127.0.0.1:9/", None, "needs a secret"),
        ("--webhook http://127.0.0.1:9/", "short", "at least 16 octets"),
        ("--webhook nowhere", SECRET.decode(), "--webhook: a webhook's URL looks like"),
        ("--webhook http://192.0.2.7/", SECRET.decode(), "off this machine"),
        ("--webhook-secret-file x", None, "of no use without --webhook"),
        ("--webhook http://127.0.0.1:9/ --webhook-secret-file x", None, "No such file"),
        ("--notice-mail nobody", None, "--notice-mail: an address has the form"),
        ("--notice-mail a@b.test --notice-window soon", None, "--notice-window: 'soon' is not"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_to_do(
    tmp_path: Path, words: str, secret: str | None, said: str
) -> None:
    if secret is not None:
        words = f"{words} --webhook-secret-file {tmp_path / 'secret'}"
        (tmp_path / "secret").write_text(secret)
    ports = ("--smtp-port", "0", "--smtps-port", "0", "--no-submission")
    done = relay(tmp_path / "state", "serve", *ports, *words.split(), cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
