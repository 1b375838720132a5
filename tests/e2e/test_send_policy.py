"""`relay send --policy`: one message through a relay of its own, which is gone afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from relay.cli.app import app


def send(*words: str) -> Result:
    return CliRunner().invoke(app, ["send", *words])


@pytest.mark.parametrize(
    ("policy", "recipient", "exit_code", "says"),
    [
        ("required", "a@no-starttls.lab.test", 1, "451 4.7.6 [internal] STARTTLS required"),
        ("required", "a@expired.lab.test", 0, "Verdict delivered encrypted"),
        ("required-verify", "a@null-mx.lab.test", 1, "Host none: dns-null-mx"),
    ],
)
def test_the_story_of_one_message(
    tmp_path: Path, policy: str, recipient: str, exit_code: int, says: str
) -> None:
    result = send("--policy", policy, recipient, "--state", str(tmp_path / "untouched"))
    assert result.exit_code == exit_code, result.output
    told = " ".join(result.output.split())
    assert says in told
    assert f"Next relay serve --policy {policy}" in told
    assert not (tmp_path / "untouched").exists()


def test_a_policy_of_ones_own_and_records_as_json(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("tls: Required\nroutes: [{match: partner.test, to: lab/handshake-drop}]\n")
    result = send("--policy", str(file), "bob@partner.test", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["reply"]["code"] == 451
    assert told["message"]["envelope"]["recipients"] == ["bob@partner.test"]
    assert told["message"]["sessions"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--policy", "required", "--server", "127.0.0.1:25"), "exclude each other"),
        (("--policy", "requird"), "did you mean 'required'?"),
    ],
)
def test_what_can_not_be_is_said(words: tuple[str, ...], says: str) -> None:
    result = send("bob@partner.test", *words)
    assert result.exit_code == 2
    assert says in result.output
