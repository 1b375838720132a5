"""`relay what-if` as a user has it: journal, lists, logs, evidence, probes, exit codes."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from e2e_command import RELAY, environment, relay
from e2e_relay import Start
from typer.testing import CliRunner

from relay.cli.app import app

ROUTES = """\
routes:
  - {match: partner-x.com, to: lab/expired}
  - {match: bank.example, to: lab/no-starttls}
  - {match: shop.example, to: lab/good}
"""


@pytest.fixture
def policies(tmp_path: Path) -> tuple[str, str, str]:
    """Return three policy files of the same routes: Preferred, Required, Required Verify."""
    files = []
    for setting in ("Preferred", "Required", "Required Verify"):
        file = tmp_path / f"{setting.lower().replace(' ', '-')}.yaml"
        file.write_text(f"tls: {setting}\n{ROUTES}")
        files.append(str(file))
    return files[0], files[1], files[2]


@pytest.fixture(autouse=True)
def _certs(tmp_path: Path, certificates: Path) -> None:
    """Put the lab's authority where the commands look for it."""
    (tmp_path / "certs").symlink_to(certificates)


async def sent(start: Start, tmp_path: Path, policy: str) -> Path:
    """Send some mail under a policy; return the state directory with its journal."""
    async with start(Path(policy).read_text()) as running:
        for number, to in enumerate(
            ("a@partner-x.com", "b@partner-x.com", "a@bank.example", "a@shop.example")
        ):
            await running.send(to, mark=f"m{number}")
    return tmp_path


def rows_of(result: dict[str, Any]) -> dict[str, tuple[str, str, str]]:
    return {
        row["asked"]["recipient"] or row["asked"]["domain"]: (
            row["now"]["kind"],
            row["then"]["kind"],
            row["change"],
        )
        for row in result["rows"]
    }


async def test_the_record_tells_what_required_would_do(
    start: Start, tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    preferred, required, verify = policies
    state = await sent(start, tmp_path, preferred)
    done = relay(state, "what-if", "--from", preferred, "--to", required, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["summary"] == (
        "Of 3 domains, 1 would stop being delivered to (1 message on record)."
    )
    assert rows_of(result) == {
        "bank.example": ("passes", "refused", "new-bounce"),
        "partner-x.com": ("passes", "passes", "same"),
        "shop.example": ("passes", "passes", "same"),
    }
    strict = relay(state, "what-if", "--from", preferred, "--to", verify, "--fail-on-new-bounces")
    assert strict.returncode == 1
    assert "Of 3 domains, 2 would stop being delivered to (3 messages on record)." in strict.stdout
    assert max(map(len, strict.stdout.splitlines())) <= 80


async def test_rows_by_recipient_and_files_for_ci(
    start: Start, tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    preferred, _, verify = policies
    state = await sent(start, tmp_path, preferred)
    junit, html = tmp_path / "r.xml", tmp_path / "r.html"
    words = ["what-if", "--from", preferred, "--to", verify, "--by", "recipient", "--json"]
    done = relay(state, *words, "--junit", str(junit), "--html", str(html))
    assert set(rows_of(json.loads(done.stdout))) == {
        "a@partner-x.com",
        "b@partner-x.com",
        "a@bank.example",
        "a@shop.example",
    }
    suites = ElementTree.parse(junit).getroot()
    assert sum(int(suite.get("failures", "0")) for suite in suites) == 3
    assert "would stop being delivered to" in html.read_text()


async def test_only_what_is_named_is_told(
    start: Start, tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    preferred, _, verify = policies
    state = await sent(start, tmp_path, preferred)
    words = ["what-if", "shop.example", "new.example", "--from", preferred, "--to", verify]
    done = relay(state, *words, "--json", "--fail-on-unknown")
    assert done.returncode == 3
    assert rows_of(json.loads(done.stdout)) == {
        "new.example": ("unknown", "unknown", "unknown"),
        "shop.example": ("passes", "passes", "better-protected"),
    }
    assert "asked     the destinations named\n" in relay(state, *words).stdout


async def test_the_policy_of_the_newest_message_is_now(
    start: Start, tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    preferred, required, _ = policies
    state = await sent(start, tmp_path, "policies/required-verify.yaml")
    done = relay(state, "what-if", "--to", required)
    # That policy was given as a text, so that no file of its name is here.
    assert "the default, for test.yaml of the newest message is not here; see --from" in " ".join(
        done.stdout.split()
    )
    done = relay(state, "what-if", "--from", preferred, "--to", required)
    assert "why now   given" in done.stdout


@pytest.mark.parametrize("report", [("--to",), ("--report-only",)])
async def test_a_terminal_sees_how_far_the_journal_was_read_and_nobody_else(
    start: Start, tmp_path: Path, policies: tuple[str, str, str], report: tuple[str, ...]
) -> None:
    preferred, _, _ = policies
    state = await sent(start, tmp_path, preferred)
    words = ["what-if", *report, *([preferred] if report == ("--to",) else [])]
    in_terminal, as_json = on_terminal(state, *words), on_terminal(state, *words, "--json")
    assert "reading the journal" in in_terminal
    assert "4/4" in in_terminal
    assert "reading the journal" not in as_json
    assert "reading" not in relay(state, *words).stderr


def on_terminal(state: Path, *words: str) -> str:
    """Run a command whose standard error is a terminal; return what that shows."""
    ours, theirs = pty.openpty()
    screen = os.fdopen(ours, "rb", buffering=0)
    with screen, os.fdopen(theirs, "wb", buffering=0) as stderr:
        subprocess.run(
            [RELAY, *words],
            env=environment(state) | {"TERM": "xterm", "COLUMNS": "80"},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            timeout=60,
            check=False,
        )
        stderr.write(b"<end>")
        shown = b""
        while b"<end>" not in shown:
            shown += screen.read(4096)
    return shown.decode()


def test_other_routes_are_pointed_out(tmp_path: Path, policies: tuple[str, str, str]) -> None:
    preferred, _, _ = policies
    words = ["what-if", "shop.example", "--from", preferred, "--to", "required-verify"]
    probed = relay(tmp_path, *words, "--keep-routes", "--probe", "--json")
    assert rows_of(json.loads(probed.stdout))["shop.example"][2] == "better-protected"
    done = relay(tmp_path, *words)
    assert "Its mail goes to capture then" in done.stdout
    assert "--keep-routes" in done.stdout


def test_what_is_probed_is_kept_for_the_next_time(
    tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    preferred, _, verify = policies
    words = ["what-if", "--stdin", "--from", preferred, "--to", verify, "--json"]
    before = relay(tmp_path, *words, stdin="a@partner-x.com\nshop.example\n")
    assert set(rows_of(json.loads(before.stdout)).values()) == {("unknown", "unknown", "unknown")}
    probed = relay(tmp_path, *words, "--probe", stdin="a@partner-x.com\nshop.example\n")
    wanted = {
        "partner-x.com": ("passes", "refused", "new-bounce"),
        "shop.example": ("passes", "passes", "better-protected"),
    }
    assert rows_of(json.loads(probed.stdout)) == wanted
    kept = relay(tmp_path, *words, stdin="a@partner-x.com\nshop.example\n")
    assert rows_of(json.loads(kept.stdout)) == wanted
    old = relay(tmp_path, *words, "--probe-max-age", "0m", stdin="shop.example\n")
    assert rows_of(json.loads(old.stdout)) == {"shop.example": ("unknown", "unknown", "unknown")}


def test_evidence_of_another_machine_is_judged_here(
    tmp_path: Path, policies: tuple[str, str, str]
) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    for state in (there, here):
        state.mkdir()
    preferred, _, verify = policies
    words = ["what-if", "partner-x.com", "--from", preferred, "--to", verify, "--json"]
    relay(there, *words, "--probe")
    done = relay(here, *words, "--evidence", str(there / "probes.json"))
    ((_, (_, then, _)),) = rows_of(json.loads(done.stdout)).items()
    assert then == "refused"


def test_a_checked_host_is_evidence(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    checked = relay(tmp_path, "check", "no-starttls.lab.test", "--save", str(file))
    assert file.exists(), checked.stderr
    words = ["what-if", "no-starttls.lab.test", "--from", "preferred", "--to", "required-verify"]
    done = relay(tmp_path, *words, "--evidence", str(file), "--json")
    rows = rows_of(json.loads(done.stdout))
    assert rows == {"no-starttls.lab.test": ("passes", "refused", "new-bounce")}


LOGS = {
    "--email-log": "Date/Time,Mail Event,Recipient\n"
    "3/06/2026 13:37,R,a@partner-x.com\n3/06/2026 13:38,D,a@partner-x.com\n"
    "3/06/2026 13:39,R,b@partner-x.com\n3/06/2026 13:39,R,not an address\n",
    "--postfix-log": "Mar  6 13:37:00 mx postfix/smtpd[1]: connect from x[127.0.0.1]\n"
    "Mar  6 13:37:00 mx postfix/smtp[2]: 4X1: to=<a@partner-x.com>, relay=mx[192.0.2.1]:25, "
    "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
    "Mar  6 13:37:01 mx postfix/smtp[2]: 4X2: to=<b@partner-x.com>, relay=none, "
    "delay=1, delays=0/0/0/1, dsn=4.4.1, status=deferred (connection refused)\n"
    "Mar  6 13:47:01 mx postfix/smtp[2]: 4X2: to=<b@partner-x.com>, relay=mx[192.0.2.1]:25, "
    "delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)\n"
    "Mar  6 13:47:01 mx postfix/smtp[2]: 4X3: to=<odd one>, relay=none, "
    "delay=1, delays=0/0/0/1, dsn=5.1.3, status=bounced (bad)\n",
    "--addresses": "a@partner-x.com\nb@partner-x.com # twice\nnot an address\n",
}


@pytest.mark.parametrize(("option", "messages"), [*zip(LOGS, (2, 2, 0), strict=True)])
def test_destinations_come_from_lists_and_logs(
    tmp_path: Path, policies: tuple[str, str, str], option: str, messages: int
) -> None:
    preferred, required, _ = policies
    file = tmp_path / "list"
    file.write_text(LOGS[option])
    done = relay(
        tmp_path, "what-if", option, str(file), "--from", preferred, "--to", required, "--json"
    )
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["asked"]["domain"], row["asked"]["messages"]) == ("partner-x.com", messages)
    assert done.stderr.startswith(f"{file}:")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "no --to POLICY"),
        (["--to", "requird"], "did you mean"),
        (["--to", "required", "--by", "host"], "--by host"),
        (["--to", "required", "--stdin", "--addresses", "x"], "one at a time"),
        (["--to", "required", "--addresses", "absent"], "can't read absent"),
        (["--to", "required", "--evidence", "absent"], "can't read absent"),
        (["--to", "required", "--probe-max-age", "soon"], "not an age"),
        (["--to", "required", "--stdin"], "stdin names no destination"),
        (["--to", "required", "two words"], "is not a valid label"),
        (["--to", "required", "--report-only"], "takes no --to"),
    ],
)
def test_bad_usage_is_said_in_a_line(tmp_path: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, ["what-if", *words, "--state", str(tmp_path)], input="")
    assert done.exit_code == 2
    assert said in done.stderr


def test_with_nothing_on_record_nothing_is_determined(tmp_path: Path) -> None:
    done = relay(tmp_path, "what-if", "--to", "required-verify")
    assert done.returncode == 3
    assert "nothing is on record" in done.stdout


async def test_report_only_sums_up_what_was_tested(start: Start, tmp_path: Path) -> None:
    async with start(f"tls: Required\nmode: testing\n{ROUTES}") as running:
        for number, to in enumerate(("a@bank.example", "b@bank.example", "a@shop.example")):
            reply = await running.send(to, mark=f"m{number}")
            assert reply.code == 250
    done = relay(tmp_path, "what-if", "--report-only", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["summary"] == (
        "2 of 3 messages sent under a tested setting would have been refused, to 1 of 2 domains."
    )
    bank, shop = result["domains"]
    assert (bank["domain"], bank["messages"], bank["refused"]) == ("bank.example", 2, 2)
    assert bank["codes"] == {"451 4.7.6": 2}
    assert (shop["domain"], shop["through"], shop["refused"]) == ("shop.example", 1, 0)
    strict = relay(tmp_path, "what-if", "--report-only", "--fail-on-new-bounces")
    assert strict.returncode == 1
    assert "would have been refused with 451 4.7.6" in " ".join(strict.stdout.split())


def test_report_only_without_any_test_is_undetermined(tmp_path: Path) -> None:
    done = relay(tmp_path, "what-if", "--report-only")
    assert done.returncode == 3
    assert "mode: testing" in done.stdout
