"""`relay prove` as a user meets it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from e2e_command import RELAY, environment, relay
from typer.testing import CliRunner

from relay import running
from relay.audit.proof_file import _digest
from relay.cli.app import app


@pytest.fixture(scope="module")
def proof(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A proof of this relay by two scenarios, and what the command said."""
    base = tmp_path_factory.mktemp("prove")
    done = relay(
        base, "prove", "--claims", "RequiredVerify", "--scenarios", "no-starttls,expired",
        "--save", "p.json", "--html", "p.html", "--junit", "p.xml", cwd=base,
    )  # fmt: skip
    return base / "p.json", done


def test_this_relay_is_proved(proof: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    file, done = proof
    assert done.returncode == 0, done.stderr
    assert "Yes, Required Verify is enforced: 3 enforced." in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    suite = ET.parse(file.with_suffix(".xml")).getroot()[0]
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "0", "0")
    page = file.with_suffix(".html").read_text()
    for fact in ("Required Verify", "SHA-256", "OpenSSL", "EHLO STARTTLS"):
        assert fact in page
    saved = json.loads(file.read_text())["proof"]
    assert saved["policy"]["sha256"]
    assert [record["proof"]["verdict"] for record in saved["scenarios"]] == ["enforced"] * 3
    assert saved["scenarios"][1]["sessions"][0]["commands"] == ["EHLO", "QUIT"]


def test_a_proof_that_was_left_alone_is_verified(
    proof: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = relay(proof[0].parent, "prove", "--verify", str(proof[0]))
    assert done.returncode == 0
    assert "Verified: the digest fits" in done.stdout


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_proof_that_can_not_be_saved_whole_leaves_the_old_one(
    tmp_path: Path, proof: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    old = tmp_path / "old"
    old.write_text("the old one")
    again = [RELAY, "prove", "--verify", str(proof[0]), "--bounced", "expired", "--save", str(old)]
    run = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 1; exec "$@"', "sh", *again],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == f"relay: can't write {old}: File too large\n"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert old.read_text() == "the old one"


def changed(file: Path, to: Path, change: Any, *, sign: bool) -> Path:
    data = json.loads(file.read_text())
    change(data["proof"])
    if sign:
        data["digest"] = _digest(data["proof"])
    to.write_text(json.dumps(data))
    return to


def test_a_tampered_proof_is_reported(
    proof: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def forge(data: dict[str, Any]) -> None:
        data["sender"] = "somebody else"

    file = changed(proof[0], tmp_path / "p.json", forge, sign=False)
    done = relay(tmp_path, "prove", "--verify", str(file))
    assert done.returncode == 1
    assert "TAMPERED" in done.stderr


def test_a_verdict_that_the_evidence_does_not_bear_is_reported(
    proof: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def leak(data: dict[str, Any]) -> None:
        (line, *_) = [
            one
            for one in data["scenarios"][1]["sessions"][0]["transcript"]
            if one["direction"] == "received"
        ]
        line["text"] = "MAIL FROM:<>"

    file = changed(proof[0], tmp_path / "p.json", leak, sign=True)
    done = relay(tmp_path, "prove", "--verify", str(file))
    assert done.returncode == 1
    assert "CHANGED: no-starttls is LEAKED by the evidence, enforced in the file." in done.stderr
    assert "TAMPERED" not in done.stderr


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data["scenarios"].pop(0), "its first scenario is not good"),
        (lambda data: data["scenarios"].append(data["scenarios"][1]), "stands in it twice"),
        (
            lambda data: data["scenarios"][2]["marked"].update(
                mark=data["scenarios"][1]["marked"]["mark"]
            ),
            "two scenarios have the same mark",
        ),
        (lambda data: data.update(run="00000000"), "the mark of good is of another run"),
        (
            lambda data: data["scenarios"][1]["sessions"][0].update(
                started_at="2026-01-01T00:00:00Z"
            ),
            "is of another time than the proof",
        ),
    ],
    ids=["no-known-good", "twice", "same-mark", "another-run", "another-time"],
)
def test_evidence_that_is_not_of_one_run_is_not_judged(
    proof: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path, change: Any, said: str
) -> None:
    file = changed(proof[0], tmp_path / "p.json", change, sign=True)
    done = CliRunner().invoke(app, ["prove", "--verify", str(file)])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())


def test_a_verified_proof_says_what_its_evidence_says(
    proof: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def embellish(data: dict[str, Any]) -> None:
        data["scenarios"][1]["proof"].update(because="all is well", attempts=9, evidence=[])

    file = changed(proof[0], tmp_path / "p.json", embellish, sign=True)
    done = relay(tmp_path, "prove", "--verify", str(file), "--json")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)["scenarios"][1]
    assert record["attempts"] == 1
    assert record["because"].startswith("nothing of the message was shown")


def test_the_operators_word_settles_what_the_lab_can_not_see(
    proof: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    def forget(data: dict[str, Any]) -> None:
        data["scenarios"][2]["reported"] = None
        data["scenarios"][2]["proof"]["verdict"] = "inconclusive"

    file = changed(proof[0], tmp_path / "p.json", forget, sign=True)
    assert relay(tmp_path, "prove", "--verify", str(file)).returncode == 3
    done = relay(
        tmp_path, "prove", "--verify", str(file), "--bounced", "expired", "--json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)["scenarios"][2]
    assert record["reported"]["by"] == "operator"
    assert record["verdict"] == "enforced"


def test_a_relay_that_is_not_there_is_told_once(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = relay(
        tmp_path, "prove", "--relay", f"127.0.0.1:{port}", "--base-port", "0",
        "--scenarios", "no-starttls,expired",
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    said = " ".join(done.stdout.split())
    assert f"nothing takes a connection at 127.0.0.1:{port} (Connection refused)" in said
    assert "no-starttls, expired: The known-good message, to good, did not arrive" in said


def test_a_relay_whose_mail_goes_elsewhere_is_to_be_led_here(tmp_path: Path) -> None:
    with running("required") as elsewhere:
        done = relay(
            tmp_path, "prove", "--relay", f"127.0.0.1:{elsewhere.port}", "--base-port", "0",
            "--claims", "required", "--scenarios", "no-starttls", "--wait", "300ms",
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert done.stderr == (
        f"Nothing came from 127.0.0.1:{elsewhere.port}. Where does its mail for *.lab.test go?\n"
        "`relay lab export --for postfix` (exim, haraka, relaylab) prints what leads it here.\n"
    )


def test_a_listener_that_nobody_reaches_is_inconclusive(tmp_path: Path) -> None:
    done = relay(
        tmp_path, "prove", "--listen", "127.0.0.1", "--public-name", "mx.example.com",
        "--scenarios", "expired", "--wait", "300ms", "--json",
    )  # fmt: skip
    assert done.returncode == 3
    assert json.loads(done.stdout)["verdict"] == "inconclusive"
    assert "host mx.example.com, port" in done.stderr
    assert "@expired.mx.example.com" in done.stderr


def test_an_interrupted_wait_is_judged(tmp_path: Path) -> None:
    words = ("--listen", "127.0.0.1", "--public-name", "mx.example.com", "--scenarios", "expired")
    with subprocess.Popen(
        [RELAY, "prove", *words, "--wait", "1h"],
        env=environment(tmp_path), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stderr is not None
        while "Ctrl-C" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=30)
    assert process.returncode == 3
    assert "2 inconclusive." in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--claims", "maybe"], "--claims: 'maybe' is not a TLS setting"),
        (["--scenarios", "nonsense"], "no scenario and no family is named 'nonsense'"),
        (["--scenarios", "null-mx"], "null-mx is about DNS alone"),
        (["--wait", "soon"], "--wait: 'soon' is not a duration"),
        (["--relay", "somewhere"], "--relay takes HOST:PORT"),
        (["--relay", "mx.example.com:25"], "may be off this machine"),
        (["--listen", "127.0.0.1"], "--listen takes --public-name and --scenarios"),
        (["--public-name", "a.test"], "go with --listen"),
        (["--bounced", "expired"], "--bounced adds to a saved proof"),
        (["--verify", "/nowhere.json"], "can't read /nowhere.json"),
        (
            ["--listen", "0.0.0.0", "--public-name", "a.test", "--scenarios", "expired"],
            "exposes the chosen receivers",
        ),
        (
            ["--listen", "127.0.0.1", "--public-name", "a.test", "--scenarios", "expired",
             "--ports", "25,26,27"],
            "--ports was given for 3 of 2 scenarios",
        ),
        (
            ["--listen", "127.0.0.1", "--public-name", "a.test", "--scenarios", "expired",
             "--ports", "2525,2525"],
            "share an address and a port",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_told_at_once(words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["prove", *words])
    assert done.exit_code == 2
    assert said in done.output


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[1]",
        '{"format": 2, "digest": "", "proof": {}}',
        '{"format": 1, "digest": "", "proof": 1}',
        '{"format": 1, "digest": "", "proof": {"run": 1}}',
    ],
)
def test_what_is_no_proof_is_told(tmp_path: Path, text: str) -> None:
    file = tmp_path / "p.json"
    file.write_text(text)
    done = CliRunner().invoke(app, ["prove", "--verify", str(file)])
    assert done.exit_code == 2
    assert "can't be judged" in done.output
