"""docs/check.md names the options that the command has."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PAGE = (Path(__file__).parents[2] / "docs/check.md").read_text("utf-8")


def test_every_option_that_the_page_names_exists() -> None:
    relay = str(Path(sys.executable).with_name("relay"))
    shown = subprocess.run(
        [relay, "check", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    options = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", shown.stdout))
    named = set(re.findall(r"--[a-z]+(?:-[a-z]+)*", PAGE))
    assert named <= options
