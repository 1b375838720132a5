"""`relay check` as its user runs it: what it prints, writes and exits with."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import Any

import pytest
import typer

from relay.audit.evidence_file import load_evidence
from relay.cli.check import check as run_check
from relay.core.evidence import HandshakeDone

RELAY = str(Path(sys.executable).with_name("relay"))


def check(state: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RELAY, "check", "--state", str(state), *words],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def document(state: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    ended = check(state, "--json", *words)
    assert not ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)["checks"]
    return ended.returncode, found


@pytest.fixture
def closed_port() -> Iterator[int]:
    """Yield a port of this machine that is taken, and that nothing listens on."""
    with closing(socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


def test_the_answer_comes_first_then_the_chain_then_the_faults(state: Path) -> None:
    ended = check(state, "missing-intermediate.lab.test")
    assert ended.returncode == 0, ended.stderr
    out = ended.stdout
    assert out.startswith("missing-intermediate.lab.test: not delivered under Preferred Verify")
    order = [
        "Required Verify   451 4.7.5",
        "Chain, as the host sent it",
        "x not sent, and not trusted: OU=lab intermediate",
        "Fault   certificate-missing-intermediate",
        "Remedy  The host must send its full chain",
        "relay lab show missing-intermediate",
    ]
    places = [out.index(words) for words in order]
    assert places == sorted(places)
    assert max(map(len, out.splitlines())) <= 80
    assert "Dialog" not in out


def test_verbose_adds_stages_dialog_and_limits(state: Path) -> None:
    ended = check(state, "lab/good", "--verbose")
    assert re.search(r"EHLO under TLS +\d\.\d{3} s +done", ended.stdout)
    assert "--> STARTTLS" in ended.stdout
    assert "~~> EHLO relay.lab.test" in ended.stdout
    assert "SSL 2 and 3" in ended.stdout
    assert not re.search(r"[-~]> (MAIL|RCPT|DATA|AUTH)", ended.stdout)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["lab/expired"], 0),
        (["lab/expired", "--expect", "required-verify=4.7.5", "--expect", "required=deliver"], 0),
        (["lab/expired", "--expect", "required-verify=deliver"], 1),
        (["lab/null-mx", "--expect", "required=5.4.4"], 0),
        (["lab/nxdomain"], 3),
        (["lab/servfail", "--expect", "required=deliver"], 3),
        (["lab/expird"], 2),
        (["bank.example:smtp"], 2),
        ([], 2),
        (["lab/good", "--expect", "sometimes=deliver"], 2),
        (["lab/good", "--expect", "off=clear", "--expect", "off=deliver"], 2),
        (["lab/good", "--book", "sendmail"], 2),
        (["lab/good", "--minimum-tls", "1.4"], 2),
        (["lab/good", "--trust", "no-such-file.pem"], 2),
        (["lab/good", "--trust", ","], 2),
        (["lab/good", "--hostname", "two words"], 2),
        (["--file", "no-such-file"], 2),
    ],
)
def test_exit_codes(words: list[str], code: int, state: Path) -> None:
    ended = check(state, "--no-versions", *words)
    assert ended.returncode == code, ended
    assert "Traceback" not in ended.stderr
    if code == 2:
        assert ended.stderr.startswith("relay: ")


def test_a_host_that_can_not_be_reached_has_no_verdict(state: Path, closed_port: int) -> None:
    ended = check(state, f"127.0.0.1:{closed_port}", "--expect", "required=deliver")
    assert ended.returncode == 3
    assert "could not be determined" in ended.stdout
    assert "nothing accepts connections there" in ended.stdout


def test_one_finding_outweighs_one_unknown(state: Path, closed_port: int) -> None:
    words = (f"127.0.0.1:{closed_port}", "lab/expired", "--expect", "required-verify=deliver")
    assert check(state, *words).returncode == 1


def test_many_targets_from_a_file_come_in_its_order(state: Path, tmp_path: Path) -> None:
    names = ["good", "expired", "no-starttls", "tls10-only"]
    listed = tmp_path / "hosts.txt"
    lines = ["# partners", "", *(f"{name}.lab.test  # of the lab" for name in names)]
    listed.write_text("\n".join(lines), encoding="utf-8")
    code, found = document(state, "--no-versions", "--file", str(listed), "lab/wrong-host")
    assert code == 0
    assert [each["target"] for each in found] == [
        "lab/wrong-host",
        *(f"{name}.lab.test" for name in names),
    ]
    last = {each["target"]: each["verdicts"][-1]["word"] for each in found}
    assert last["good.lab.test"] == "verified"
    assert last["no-starttls.lab.test"] == "451 4.7.6"


def test_many_targets_have_a_line_each_before_all_else(state: Path) -> None:
    words = ("lab/good", "lab/no-starttls", "lab/nxdomain", "--expect", "required=deliver")
    out = check(state, "--no-versions", *words).stdout
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[2:6] == [
        "lab/good clear encrypted verified encrypted verified",
        "lab/no-starttls clear clear clear 451 4.7.6 ! 451 4.7.6",
        "lab/nxdomain 454 4.4.4 454 4.4.4 454 4.4.4 454 4.4.4 454 4.4.4",
        "3 targets, 1 not as expected (!), 1 could not be determined.",
    ]
    assert max(map(len, out.splitlines())) <= 80


def test_the_document_has_what_the_page_has(state: Path) -> None:
    _, (found,) = document(state, "lab/weak-dh", "--ciphers")
    (host,) = found["hosts"]
    assert [fault["kind"] for fault in host["faults"]] == ["handshake-weak-parameters"]
    assert host["nearest"] == ["weak-dh"]
    (suites,) = [v["suites"] for v in host["versions"] if v["suites"]]
    assert suites["names"] == ["DHE-RSA-AES256-GCM-SHA384"]
    assert {v["version"]: v["answer"]["kind"] for v in host["versions"]} == {
        "1.0": "declined",
        "1.1": "declined",
        "1.2": "accepted",
        "1.3": "declined",
    }
    assert host["chain"]["links"][0]["issued_by"] == "next"
    assert found["trust"]["lab"] is True


def test_files_for_ci_and_for_an_auditor(state: Path, tmp_path: Path) -> None:
    junit, html = tmp_path / "check.xml", tmp_path / "check.html"
    ended = check(
        state, "lab/expired", "lab/nxdomain", "--no-versions", "--junit", str(junit),
        "--html", str(html), "--expect", "required-verify=deliver",
    )  # fmt: skip
    assert ended.returncode == 1
    suites = {suite.get("name"): suite for suite in ET.parse(junit).getroot()}
    (failure,) = suites["lab/expired"].iter("failure")
    assert str(failure.get("message")).startswith("451 4.7.5, expected deliver")
    assert "certificate-expired" in str(failure.text)
    page = html.read_text(encoding="utf-8")
    assert "mx.expired.lab.test" in page
    assert "<script" not in page


def test_evidence_is_kept_for_another_machine(state: Path, tmp_path: Path) -> None:
    kept = tmp_path / "evidence.json"
    assert check(state, "lab/expired", "--no-versions", "--save", str(kept)).returncode == 0
    (record,) = load_evidence(kept)
    assert record.domain == "expired.lab.test"
    (host,) = record.seen
    assert host.evidence is not None
    assert isinstance(host.evidence.handshake, HandshakeDone)
    assert len(host.evidence.chain) == 2


def test_evidence_of_an_address_can_be_kept_too(
    state: Path, tmp_path: Path, closed_port: int
) -> None:
    kept = tmp_path / "evidence.json"
    assert check(state, f"127.0.0.1:{closed_port}", "--save", str(kept)).returncode == 3
    (record,) = load_evidence(kept)
    assert (record.domain, record.seen) == ("[127.0.0.1]", ())


def test_a_receiver_that_this_machine_can_not_run_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("relay.lab.availability.find_spec", lambda _: None)
    with pytest.raises(typer.Exit) as ended:
        run_check(target=["lab/rc4-only"])
    assert ended.value.exit_code == 3
    assert "rc4-only needs the library tlslite-ng" in capsys.readouterr().err
