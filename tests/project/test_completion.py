"""Shell completion is on, for the three shells that people use, and knows names."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from relay.config.policy_file import shipped_policies
from relay.core.settings import TlsSetting
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS

RELAY = Path(sys.executable).with_name("relay")


def complete(**asked: str) -> str:
    """Run `relay` as a shell's completion does: everything is in the environment."""
    ended = subprocess.run(
        [RELAY], env=os.environ | asked, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stderr == ""
    return ended.stdout


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", {"COMP_WORDS": "relay pol", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "relay pol"}),
        ("fish", {"_TYPER_COMPLETE_ARGS": "relay pol", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}),
    ],
)
def test_a_shell_completes_a_command(shell: str, line: dict[str, str]) -> None:
    script = complete(_RELAY_COMPLETE=f"source_{shell}")
    assert f"complete_{shell}" in script
    if shutil.which(shell):
        read = subprocess.run([shell, "-n"], input=script, text=True, timeout=60, check=False)
        assert read.returncode == 0
    offered = complete(_RELAY_COMPLETE=f"complete_{shell}", **line)
    assert "policy" in offered
    assert "lab" not in offered


def offered_by_bash(line: str) -> list[str]:
    words = line.split(" ")
    shown = complete(
        _RELAY_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD=str(len(words) - 1)
    )
    return shown.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("lab show expired", [name for name in SCENARIOS if name.startswith("expired")]),
        ("demo --scenario ", [*SCENARIOS]),
        ("prove --bounced ", [*LAB_SCENARIOS]),
        ("prove --scenarios handshake", ["handshake"]),
        ("prove --scenarios al", ["all"]),
        ("prove --claims ", [setting.value for setting in TlsSetting]),
        ("lab list --family s", ["starttls", "smtp"]),
        ("policy show ", [file.stem for file in shipped_policies()]),
        ("policy lint required-v", ["required-verify"]),
        ("policy explain --policy required-v", ["required-verify"]),
        ("serve -p required-v", ["required-verify"]),
        ("send --policy required-v", ["required-verify"]),
        ("what-if --from required-v", ["required-verify"]),
        ("what-if --to required-v", ["required-verify"]),
        ("serve --policy ./mine", []),
    ],
)
def test_names_are_completed_where_they_are_asked_for(line: str, names: list[str]) -> None:
    offered = offered_by_bash(f"relay {line}")
    assert set(names) <= set(offered)
    word = line.rpartition(" ")[2]
    assert [name for name in offered if not name.startswith(word)] == []
    if not names:
        assert offered == []


def test_of_names_by_commas_the_last_is_completed_and_none_is_offered_twice() -> None:
    assert offered_by_bash("relay demo --scenario expired,self-sig") == ["expired,self-signed"]
    assert offered_by_bash("relay prove --scenarios good,honest,hon") == []


def test_names_load_nothing_that_a_relay_needs() -> None:
    """A shell waits for them at every Tab."""
    program = """
import sys
from relay.cli import completion
for names in (completion.policy, completion.setting, completion.receivers_or_families):
    assert names("")
print(*{"pydantic", "yaml", "cryptography", "rich", "relay.lab.lab"} & {*sys.modules})
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ended.stdout.split() == []


@pytest.mark.judge("bash")
def test_bash_itself_completes_by_the_script() -> None:
    """The function that the script defines fills what bash offers."""
    script = complete(_RELAY_COMPLETE="source_bash")
    program = f"{script}\nCOMP_WORDS=(relay policy re) COMP_CWORD=2\n_relay_completion relay\n"
    shown = subprocess.run(
        ["bash", "-c", program + 'printf "%s\\n" "${COMPREPLY[@]}"'],
        env=os.environ | {"PATH": f"{RELAY.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert shown.stdout.split() == ["reload"]
