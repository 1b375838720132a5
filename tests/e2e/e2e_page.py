"""A page of the documentation as its readers use it: files, commands, and what these print."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from e2e_command import RELAY, environment

DOCS = Path(__file__).parents[2] / "docs"
_VARYING = (
    (r"(?<=\]:)\d+", "PORT"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", "DATE"),
    (r"\b1m[0-9a-z]{15}\b|rlp-[0-9a-f]{8}-[0-9a-f]{8}", "ID"),
    (r"SIZE=\d+", "SIZE"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command of a page, in one line, and what the page shows of its output."""

    command: str
    shown: str

    def agrees_with(self, output: str) -> bool:
        """Say whether this is what is shown, where `...` on a line stands for what was left out."""
        if not self.shown:
            return True
        parts = re.split(r"^\.\.\.$", self.shown, flags=re.MULTILINE)
        pattern = ".*".join(re.escape(_settled(part)) for part in parts)
        return re.fullmatch(rf"\s*{pattern}\s*", _settled(output)) is not None


def steps(page: Path) -> list[Step]:
    """Return the commands of a page in their order."""
    text = page.read_text("utf-8").replace("\\\n", " ")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    parts = (part for block in blocks for part in re.split(r"^\$ ", block, flags=re.MULTILINE))
    told = (part.partition("\n") for part in parts if part)
    return [Step(command=" ".join(line.split()), shown=shown) for line, _, shown in told]


def write_files(page: Path, directory: Path) -> list[str]:
    """Write each file that a page shows, by the name in its first line; return the names."""
    found = re.findall(
        r"^```yaml\n(# (\S+\.yaml)\n.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    for text, name in found:
        (directory / name).write_text(text, "utf-8")
    return [name for _, name in found]


def run(step: Step, directory: Path, *, expected: int = 0) -> str:
    """Run a command in the reader's shell, with a state of its own; return what it printed.

    It must end with this exit code and print what the page shows.
    """
    ours = environment(directory / "state")
    ours["PATH"] = f"{Path(RELAY).parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/sh", "-c", step.command],
        cwd=directory, env=ours, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == expected, (step.command, done.stdout, done.stderr)
    assert step.agrees_with(done.stdout), (step, done.stdout)
    return done.stdout + done.stderr


def _settled(text: str) -> str:
    text = " ".join(text.split())
    for pattern, word in _VARYING:
        text = re.sub(pattern, word, text)
    return text
