"""How a reload ended: of the policy and, where there are any, of the fault scripts.

The report is a small JSON file in the state directory, so that others can read it. Only the
standard library at import time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import Enum, unique
from pathlib import Path
from typing import Any

from relay.journal.whole_files import Outlives, write_whole


@unique
class ReloadOutcome(Enum):
    """What is in force after a file was read again."""

    LOADED = "loaded"
    KEPT = "kept"
    """What was in force before: the file can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptsReload:
    """How the reading of a file of fault scripts ended.

    `problems` are all that keep it from being used, a line each; `in_force` are the scripts that
    hold now, a line each.
    """

    file: str
    outcome: ReloadOutcome
    problems: tuple[str, ...]
    in_force: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The same as people read it."""
        if self.outcome is ReloadOutcome.LOADED:
            begun = f"Reloaded {self.file}: counters, times and chance begin anew."
            return (begun, *self.in_force)
        return (*self.problems, _kept(self.file, self.problems, "the fault scripts of before stay"))


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """How a reload ended.

    `pid` is the relay's process and `began` when it began to read, in seconds of the machine's
    monotonic clock: so a reader tells an answer to its own request from an older one. `policy` is
    the file; `problems` are all that keep it from being used, a line each. `lab_script` is None
    for a relay without fault scripts of its own.
    """

    pid: int
    began: float
    policy: str
    outcome: ReloadOutcome
    problems: tuple[str, ...]
    lab_script: ScriptsReload | None = None

    @property
    def complete(self) -> bool:
        """Whether every file is in force."""
        return not self.problems and (self.lab_script is None or not self.lab_script.problems)

    @property
    def lines(self) -> tuple[str, ...]:
        """The report as people read it."""
        scripts = () if self.lab_script is None else self.lab_script.lines
        if self.outcome is ReloadOutcome.LOADED:
            return (f"Reloaded {self.policy}: it holds from the next message on.", *scripts)
        kept = _kept(self.policy, self.problems, "the policy of before stays")
        return (*self.problems, kept, *scripts)

    def write(self, path: Path) -> None:
        """Leave the report, all of it or nothing; raises OSError."""
        told = json.dumps(asdict(self), indent=2, default=_plain)
        # Void without the process that it tells of, which no power cut spares.
        write_whole(path, told.encode("ascii"), outlives=Outlives.PROCESS)


def read_report(path: Path) -> ReloadReport | None:
    """Return the report that lies there, None where there is none."""
    try:
        data = json.loads(path.read_text())
        scripts = data["lab_script"]
        return ReloadReport(
            **{
                **data,
                **_outcome(data),
                "lab_script": scripts
                and ScriptsReload(
                    **{**scripts, **_outcome(scripts), "in_force": tuple(scripts["in_force"])}
                ),
            }
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _outcome(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"outcome": ReloadOutcome(data["outcome"]), "problems": tuple(data["problems"])}


def _kept(file: str, problems: tuple[str, ...], what: str) -> str:
    count = len(problems)
    return f"{file} can't be used: {count} problem{'s' if count > 1 else ''}; {what} in force."


def _plain(value: object) -> str:
    if isinstance(value, ReloadOutcome):
        return value.value
    raise TypeError(type(value))
