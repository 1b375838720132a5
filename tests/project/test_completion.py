"""Shell completion is on, for the three shells that people use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
