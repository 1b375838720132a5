"""The commands that open a management port, as processes; the page has all that it has."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from e2e_command import RELAY, environment, relay, serving
from e2e_lab import lab_serving

from relay.cli.readyz import missing, told_missing, without_room
from relay.cli.serving import Serving
from relay.web.app import make_api
from relay.web.health import health_router
from relay.web.lab_routes import lab_router
from relay.web.problems import ProblemKind
from relay.web.script_routes import script_router

PAGE = (Path(__file__).parents[2] / "docs/management-port.md").read_text()
ANY = ("--web", "--web-port", "0")
LAB = "/api/v1/lab"


def client(url: object) -> httpx.Client:
    assert isinstance(url, str)
    return httpx.Client(base_url=url, trust_env=False, timeout=20)


def test_a_relay_shows_what_its_receivers_were_told_and_ends_in_spite_of_a_client(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, *ANY) as server, client(server.note.web) as web:
        assert relay(tmp_path, "send", "anyone@expired.lab.test").returncode == 1
        (session,) = web.get(f"{LAB}/scenarios/expired/sessions").json()["items"]
        assert session["handshake_error"]
        assert web.get("/readyz").json() == {"status": "ready"}
        code, out, err = server.stop(signal.SIGTERM)
        assert code == 0, err
        assert f"  web         {server_url(out)}/ (pages; the API: /api/v1)\n" in out
        assert "Traceback" not in err


def server_url(out: str) -> str:
    found = re.search(r"http://127\.0\.0\.1:\d+", out)
    assert found is not None
    return found[0]


def test_a_relay_without_the_port(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-web") as server:
        assert server.note.web is None
        assert "http:" not in server.stop()[1]


@pytest.mark.parametrize("words", [("serve",), ("lab", "serve")], ids=" ".join)
def test_a_port_that_is_taken_is_one_clear_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    smtp = {
        "serve": ("--smtp-port", "0", "--smtps-port", "0", "--no-submission"),
        "lab": ("--base-port", "0", "--dns-port", "0"),
    }[words[0]]
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        run = relay(tmp_path, *words, *smtp, "--web", "--web-port", port)
    assert run.returncode == 3
    assert run.stderr.splitlines() == [
        f"relay: cannot listen on 127.0.0.1:{port} (web): another program uses this port",
        "  Choose another port with --web-port (0 takes any free one), or none: --no-web.",
    ]


def test_the_lab_alone_serves_its_zone_and_is_ready(tmp_path: Path) -> None:
    with (
        lab_serving(tmp_path, "--base-port", "0", "--dns-port", "0", *ANY) as lab,
        client(lab.ready["web"]) as web,
    ):
        assert web.get("/readyz").json() == {"status": "ready"}
        assert web.get(f"{LAB}/ca.pem").text == Path(lab.ready["lab_root"]).read_text()
        zone = web.get(f"{LAB}/zone").json()
        listens = {e["name"]: e["listens"] for e in web.get(f"{LAB}/scenarios").json()}
        code, _, err = lab.stop()
        assert code == 0, err
    assert "MX 10 mx.expired.lab.test." in zone["expired.lab.test"]
    for entry in lab.ready["receivers"]:
        assert listens[entry["scenario"]]["port"] == entry["port"]


def test_a_token_from_the_environment_is_needed_and_never_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "e2e_command.environment",
        lambda state: environment(state) | {"RELAY_WEB_TOKEN": "s3cr3t-of-the-house"},
    )
    with serving(tmp_path, *ANY) as server, client(server.note.web) as web:
        assert web.get(f"{LAB}/scripts").status_code == 401
        right = {"Authorization": "Bearer s3cr3t-of-the-house"}
        assert web.get(f"{LAB}/scripts", headers=right).json() == []
        note = (tmp_path / "serving.json").read_text()
        _, out, err = server.stop()
    assert "s3cr3t" not in note + out + err


def test_an_empty_token_is_no_token_and_is_told(tmp_path: Path) -> None:
    run = subprocess.run(
        [RELAY, "serve", "--web"],
        env=environment(tmp_path) | {"RELAY_WEB_TOKEN": ""},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "RELAY_WEB_TOKEN is set and empty" in run.stderr


def test_not_ready_while_the_port_does_not_answer() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        note = Serving(
            pid=os.getpid(), hostname="h", policy="p", lab_root="r", listeners=(), web=url
        )
        assert missing(note) == [f"web on {url} does not answer"]
        assert told_missing(url) == [f"web on {url} does not answer"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b'{"missing": ["the journal can\'t be written"]}', ["the journal can't be written"]),
        (b'{"missing": 1}', None),
        (b"[]", None),
        (b"<h1>Hello</h1>", None),
        (b"", None),
    ],
)
def test_what_a_port_tells_is_told_on_and_another_programs_words_are_not(
    body: bytes, told: list[str] | None
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as port:
        url = f"http://127.0.0.1:{port.getsockname()[1]}"

        def answer() -> None:
            with port.accept()[0] as link:
                assert link.recv(4096).startswith(b"GET /readyz HTTP/1.1\r\n")
                link.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n" + body)

        thread = threading.Thread(target=answer)
        thread.start()
        found = told_missing(url)
        thread.join()
    assert found == ([f"web on {url} does not answer"] if told is None else told)


def test_a_directory_of_somebody_else_tells_nothing_of_its_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    assert without_room(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert without_room(tmp_path) == []


def test_no_command_loads_the_web_libraries_before_it_serves() -> None:
    program = (
        "import sys, relay.cli.app\n"
        "print(sorted({'fastapi', 'starlette', 'uvicorn', 'relay.web.app'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout == "[]\n"


def test_the_page_has_every_route_and_every_problem() -> None:
    document = make_api(
        [health_router(None)],  # type: ignore[arg-type]
        [lab_router(None), script_router(None)],  # type: ignore[arg-type]
    ).openapi()
    routes = {
        (method.upper(), path) for path, methods in document["paths"].items() for method in methods
    }
    told = set(re.findall(r"^\| `(GET|POST|PUT|DELETE) (/\S+)` \|", PAGE, re.MULTILINE))
    assert told == routes | {("GET", "/api/v1/openapi.json")}
    problems = dict(re.findall(r"^\| `([a-z-]+)` \| (\d{3}) \|", PAGE, re.MULTILINE))
    assert {name: int(status) for name, status in problems.items()} == {
        kind.value: kind.status for kind in ProblemKind
    }
