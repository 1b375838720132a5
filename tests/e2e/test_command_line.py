"""The commands as users type them, in processes of their own."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from e2e_command import RELAY, environment, relay, serving
from rich.table import Table
from typer.testing import CliRunner

from relay.cli.app import _GROUPS, app
from relay.cli.plain_console import PlainConsole

REPOSITORY = Path(__file__).parents[2]


def test_serve_prints_what_a_newcomer_needs_and_its_line_bounces(tmp_path: Path) -> None:
    """As `make run` does: banner, pasted line, bounce record with 451 on the screen."""
    policy = REPOSITORY / "policies/required-verify.yaml"
    with serving(tmp_path, "--policy", str(policy)) as server:
        send = relay(tmp_path, "send", "anyone@expired.lab.test")
        assert send.returncode == 1
        bounces = relay(tmp_path, "bounces", "list")
        shown = relay(tmp_path, "bounces", "show", "latest")
        code, out, err = server.stop()
    assert code == 0, err
    for words in (
        "clear, STARTTLS offered",
        "TLS from the first octet",
        "STARTTLS and AUTH required",
        str(policy),
        "Required Verify for every domain",
        str(tmp_path / "journal.sqlite3"),
        str(tmp_path / "bounces.jsonl"),
    ):
        assert words in out
    pasted = next(line for line in out.splitlines() if " send " in line)
    assert shlex.split(pasted)[1:] == ["send", "anyone@expired.lab.test"]
    story = send.stdout
    for words in (
        "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA",
        "Required Verify",
        "required-verify.yaml",
        "mx.expired.lab.test",
        "certificate-expired",
        "nothing of the message was sent",
        "bounces show",
    ):
        assert words in " ".join(story.split()), story
    assert "451 4.7.5" in bounces.stdout
    assert "nothing of the message was sent" in " ".join(out.split())
    assert "451 4.7.5" in shown.stdout
    for output in (story, bounces.stdout, shown.stdout):
        assert max(map(len, output.splitlines())) <= 80


def test_the_next_command_that_send_prints_works(tmp_path: Path) -> None:
    with serving(tmp_path):
        send = relay(tmp_path, "send", "anyone@wrong-host.lab.test")
        following = re.search(r"bounces show \S+", send.stdout)
        assert following is not None
        shown = relay(tmp_path, *following[0].split(), "--json")
    assert json.loads(shown.stdout)["recipient"] == "anyone@wrong-host.lab.test"


@pytest.mark.parametrize(
    ("policy", "recipient", "exit_code"),
    [
        ("required-verify", "a@good.lab.test", 0),
        ("required", "a@expired.lab.test", 0),
        ("required", "a@no-starttls.lab.test", 1),
        ("off", "a@user-unknown.lab.test", 1),
    ],
)
def test_send_exits_0_when_delivered_and_1_when_refused(
    tmp_path: Path, policy: str, recipient: str, exit_code: int
) -> None:
    with serving(tmp_path, "--policy", policy):
        send = relay(tmp_path, "send", recipient, "--json")
    assert send.returncode == exit_code
    told = json.loads(send.stdout)
    assert told["message"]["envelope"]["recipients"] == [recipient]
    assert (told["reply"]["code"] == 250) is (exit_code == 0)


def test_send_to_a_misspelt_scenario_says_what_was_meant(tmp_path: Path) -> None:
    sent = relay(tmp_path, "send", "--policy", "required", "a@expird.lab.test", "b@good.lab.test")
    assert sent.returncode == 1
    said = " ".join(sent.stdout.split())
    assert "Note the lab has no scenario 'expird'; did you mean expired?" in said
    assert said.count("no scenario") == 1
    assert "relay lab list" in said


def test_send_to_a_queue_exits_0_and_says_when_it_is_tried_again(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("tls: Required\nreply: queued\n")
    with serving(tmp_path, "--policy", str(policy)):
        send = relay(tmp_path, "send", "a@no-starttls.lab.test")
    assert send.returncode == 0, send.stderr
    assert "250" in send.stdout
    assert "Retry" in send.stdout
    assert "451 4.7.6" in send.stdout


def test_send_without_a_relay_says_what_to_do(tmp_path: Path) -> None:
    send = relay(tmp_path, "send", "a@good.lab.test")
    assert send.returncode == 3
    assert "no relay serves" in send.stderr
    assert "relay serve" in send.stderr


@pytest.mark.parametrize("server", ["localhost", "http://127.0.0.1:8025", "127.0.0.1:smtp"])
def test_send_to_what_is_no_host_and_port_says_the_form(tmp_path: Path, server: str) -> None:
    run = relay(tmp_path, "send", "a@b.example", "--server", server)
    assert run.returncode == 2
    assert f"{server}: not of the form HOST:PORT" in run.stderr
    assert "127.0.0.1:1025" in run.stderr


def test_send_to_a_port_where_nobody_listens_says_so_without_numbers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    run = relay(tmp_path, "send", "a@b.example", "--server", f"127.0.0.1:{port}")
    assert run.returncode == 3
    assert run.stderr.splitlines()[0] == (
        f"relay: 127.0.0.1:{port} gave no answer: Connection refused"
    )


def test_send_refuses_what_is_no_address(tmp_path: Path) -> None:
    send = relay(tmp_path, "send", "not-an-address")
    assert send.returncode == 2
    assert "local-part@domain" in send.stderr


def test_send_a_file_octet_for_octet(tmp_path: Path) -> None:
    message = tmp_path / "message.eml"
    message.write_bytes(b"Message-ID: <file@example.test>\r\nSubject: x\r\n\r\n.dot\r\n")
    with serving(tmp_path):
        send = relay(tmp_path, "send", "a@good.lab.test", "--eml", str(message), "--json")
        raw = relay(tmp_path, "messages", "show", "latest", "--raw")
    assert send.returncode == 0
    assert raw.stdout.replace("\r\n", "\n").endswith("Subject: x\n\n.dot\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    with serving(tmp_path) as server:
        port = server.port()
        code, _, err = server.stop(number)
    assert code == 0
    assert "Traceback" not in err
    assert not (tmp_path / "serving.json").exists()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def test_readyz_is_true_only_while_every_listener_accepts(tmp_path: Path) -> None:
    assert relay(tmp_path, "readyz").returncode == 1
    with serving(tmp_path) as server:
        assert relay(tmp_path, "readyz").returncode == 0
        tiny = subprocess.run(
            [sys.executable, "-m", "relay.cli.readyz"],
            env=environment(tmp_path), check=False, timeout=30,
        )  # fmt: skip
        assert tiny.returncode == 0
        server.stop(signal.SIGKILL)
    after = relay(tmp_path, "readyz")
    assert after.returncode == 1
    assert "no relay serves" in after.stderr


def test_a_busy_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = relay(tmp_path, "serve", "--smtp-port", str(port))
    assert run.returncode == 3
    assert f"cannot listen on 127.0.0.1:{port} (smtp): another program uses this port" in run.stderr
    assert "--smtp-port" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_second_relay_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as first:
        second = relay(tmp_path, "serve", "--smtp-port", "0")
        assert second.returncode == 3
        assert str(first.process.pid) in second.stderr
        assert relay(tmp_path, "readyz").returncode == 0


def test_an_unwritable_journal_is_one_clear_line(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    run = relay(blocked / "state", "serve", "--smtp-port", "0")
    assert run.returncode == 3
    assert str(blocked) in run.stderr
    assert "Traceback" not in run.stderr
    assert len(run.stderr.splitlines()) <= 2


def test_a_state_directory_that_is_a_file_is_told_as_that(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a directory")
    run = relay(file, "serve", "--smtp-port", "0")
    assert run.returncode == 3
    assert run.stderr.startswith(f"relay: the journal's directory is a file: {file}\n")
    assert "--state" in run.stderr


@pytest.mark.parametrize(
    "words", [("codes",), ("codes", "--json"), ("policy", "schema"), ("policy", "list")]
)
def test_output_that_can_not_be_written_is_one_clear_line(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    with Path("/dev/full").open("w") as full:
        run = subprocess.run(
            [RELAY, *words],
            env=environment(tmp_path),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert run.returncode == 3
    assert run.stderr == "relay: the output can't be written: No space left on device\n"


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("codes",),
        ("codes", "--json"),
        ("lab", "list"),
        ("policy", "schema"),
        ("check", "lab/good", "lab/expired"),
        ("send", "anyone@good.lab.test", "--policy", "required"),
        ("demo",),
    ],
    ids=" ".join,
)
def test_a_reader_that_has_seen_enough_ends_a_command_without_a_word(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    """As `cat` and `grep` end: 1 would be a finding."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        run = subprocess.run(
            [RELAY, *words],
            env=environment(tmp_path),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (run.returncode, run.stderr) == (141, "")


def test_a_reader_that_takes_the_first_line_gets_it(tmp_path: Path) -> None:
    # Unbuffered, Python takes a write that was cut off for a whole one.
    buffered = {k: v for k, v in environment(tmp_path).items() if k != "PYTHONUNBUFFERED"}
    # More than a pipe holds, so that the writer is still at it when the reader goes.
    run = subprocess.run(
        ["/bin/sh", "-c", '{ "$0" lab list --json; echo $? >&2; } | head -n 2', RELAY],
        env=buffered,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("[\n  {\n", "141\n")


@pytest.mark.parametrize(
    "words",
    [
        ("lab", "list"),
        ("lab", "show", "expired"),
        ("certs", "list"),
        ("codes",),
        ("codes", "4.7.5"),
    ],
    ids=" ".join,
)
def test_lines_that_are_piped_end_where_their_text_does(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    run = subprocess.run(
        [RELAY, *words], env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    lines = run.stdout.splitlines()
    assert len(lines) > 5
    assert [line for line in lines if line != line.rstrip()] == []


def test_what_is_piped_is_seen_as_soon_as_it_is_printed() -> None:
    seen = io.BytesIO()
    out = PlainConsole(file=io.TextIOWrapper(seen, encoding="utf-8"), width=20)
    grid = Table.grid(expand=True)
    grid.add_row("one", "two")
    out.print(grid)
    assert seen.getvalue() == b"one       two\n"


def test_a_closed_output_fails_no_command(tmp_path: Path) -> None:
    run = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" policy list >&-', RELAY],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_a_character_that_the_output_lacks_is_escaped(tmp_path: Path) -> None:
    policy = tmp_path / "bücher.yaml"
    policy.write_text("tls: Required\n")
    run = subprocess.run(
        [RELAY, "what-if", "example.test", "--from", "preferred", "--to", policy.name],
        env={**environment(tmp_path), "PYTHONIOENCODING": "ascii:strict"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert "b\\xfccher.yaml" in run.stdout


def test_a_broken_policy_reports_every_problem_and_starts_nothing(tmp_path: Path) -> None:
    policy = tmp_path / "broken.yaml"
    policy.write_text(
        "tls: Requird\n"
        "minimum_tls: 1.9\n"
        "colour: blue\n"
        "routes:\n"
        "  - {match: a@b.test, to: lab/nonsense}\n"
        "reply: later\n"
    )
    run = relay(tmp_path, "serve", "--policy", str(policy))
    assert run.returncode == 2
    for line in (1, 2, 3, 5, 6):
        assert f"{policy}:{line}:" in run.stderr
    assert "can't be used: 5 problems" in run.stderr
    assert not (tmp_path / "journal.sqlite3").exists()


def test_a_host_that_never_answers_is_told_in_time(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        policy = tmp_path / "policy.yaml"
        policy.write_text(
            "tls: Required\nconnect_timeout: 1s\ncommand_timeout: 1s\n"
            f"routes: [{{match: slow.test, to: '127.0.0.1:{port}'}}]\n"
        )
        with serving(tmp_path, "--policy", str(policy)):
            send = relay(tmp_path, "send", "a@slow.test")
    assert send.returncode == 1
    assert "451 4.4.2 [internal] no banner" in " ".join(send.stdout.split())


def test_accepted_mail_survives_kill_9(tmp_path: Path) -> None:
    """A message that got its 250 is delivered by the next relay on the same state directory."""
    policy = tmp_path / "policy.yaml"
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        retry = "retry: {attempts: 9, first_delay: 1s, factor: 1, expire_after: 1h}\n"
        queued = f"tls: Required\nreply: queued\n{retry}"
        route = f"routes: [{{match: slow.test, to: '127.0.0.1:{port}'}}]\n"
        policy.write_text(queued + route)
        with serving(tmp_path, "--policy", str(policy)) as server:
            send = relay(tmp_path, "send", "a@slow.test")
            assert send.returncode == 0, send.stderr
            server.stop(signal.SIGKILL)
    policy.write_text(queued + "routes: [{match: slow.test, to: lab/good}]\n")
    with serving(tmp_path, "--policy", str(policy)) as server:
        assert server.process.stdout is not None
        for line in server.process.stdout:
            if "a@slow.test at mx.good.lab.test" in line:
                assert "delivered" in line
                break
        listed = relay(tmp_path, "messages", "list", "--json")
    (message,) = json.loads(listed.stdout)
    assert [status["state"] for status in message["recipients"]] == ["delivered"]


@pytest.mark.parametrize("group", [[], *([name] for name in sorted(_GROUPS))])
def test_help_says_what_each_command_does_without_cutting_it_off(group: list[str]) -> None:
    shown = CliRunner(env={"COLUMNS": "80"}).invoke(app, [*group, "--help"])
    assert shown.exit_code == 0
    commands = shown.stdout.partition("Commands:\n")[2].splitlines()
    assert commands
    assert [line for line in commands if not line.endswith(".") or line.endswith("...")] == []


def test_help_is_light() -> None:
    """No heavy library may be loaded to print the help."""
    heavy = ("aiosmtpd", "aiosmtplib", "cryptography", "OpenSSL", "yaml", "trustme", "pydantic")
    program = (
        "import sys\nfrom relay.cli.app import app\n"
        f"loaded = [name for name in {heavy!r} if name in sys.modules]\n"
        "sys.exit(repr(loaded) if loaded else 0)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60
    )
    # typer itself may import pydantic; what counts is what our own modules import.
    baseline = subprocess.run(
        [sys.executable, "-c", program.replace("from relay.cli.app import app", "import typer")],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert run.stderr == baseline.stderr
