"""Reading the policy again while the relay runs, and the report of it that others can read.

`relay policy reload` sends the signal and waits for the report, a small JSON file in the state
directory. Only the standard library at import time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import threading
import time
from dataclasses import asdict, dataclass
from enum import Enum, unique
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from relay.engine.relay import Relay

PAUSE: Final = 0.05
"""Seconds between two looks for the report."""

log = logging.getLogger("relay.cli")


@unique
class ReloadOutcome(Enum):
    """Which policy is in force after a reload."""

    LOADED = "loaded"
    KEPT = "kept"
    """The one of before: the file can't be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadReport:
    """How a reload ended.

    `pid` is the relay's process and `began` when it began to read, in seconds of the machine's
    monotonic clock: so a reader tells an answer to its own request from an older one. `policy` is
    the file; `problems` are all that keep it from being used, a line each.
    """

    pid: int
    began: float
    policy: str
    outcome: ReloadOutcome
    problems: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The report as people read it."""
        if self.outcome is ReloadOutcome.LOADED:
            return (f"Reloaded {self.policy}: it holds from the next message on.",)
        count = len(self.problems)
        end = (
            f"{self.policy} can't be used: {count} problem{'s' if count > 1 else ''}; "
            "the policy of before stays in force."
        )
        return (*self.problems, end)

    def write(self, path: Path) -> None:
        """Leave the report, all of it or nothing."""
        part = path.with_name(f"{path.name}.{self.pid}")
        part.write_text(json.dumps({**asdict(self), "outcome": self.outcome.value}, indent=2))
        part.replace(path)


def read_report(path: Path) -> ReloadReport | None:
    """Return the report that lies there, None where there is none."""
    try:
        data = json.loads(path.read_text())
        return ReloadReport(
            **{
                **data,
                "outcome": ReloadOutcome(data["outcome"]),
                "problems": tuple(data["problems"]),
            }
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def wait_for_report(path: Path, *, pid: int, since: float, within: float) -> ReloadReport | None:
    """Return the report of a reload that process `pid` began at `since` or later.

    None after `within` seconds, or as soon as the process is gone.
    """
    end = time.monotonic() + within
    while time.monotonic() < end:
        report = read_report(path)
        if report is not None and report.pid == pid and report.began >= since:
            return report
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        threading.Event().wait(PAUSE)
    return None


class Reloading:
    """Reads one relay's policy file again, once at a time, and leaves the report in a file."""

    def __init__(self, relay: Relay, file: Path, report_file: Path) -> None:
        self._relay = relay
        self._file = file
        self._report_file = report_file
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> ReloadReport:
        """Put the file in force, or keep the policy of before; return how that ended."""
        async with self._one_at_a_time:
            report = await reload_policy(self._relay, self._file)
        with contextlib.suppress(OSError):
            report.write(self._report_file)
        return report

    async def problems(self) -> tuple[str, ...]:
        """Do the same; return what keeps the file from being used, a line each."""
        return (await self.report()).problems


async def reload_policy(relay: Relay, file: Path) -> ReloadReport:
    """Read the policy file again and put it in force, or keep the one of before."""
    began = time.monotonic()
    problems = await _load(relay, file)
    return ReloadReport(
        pid=os.getpid(),
        began=began,
        policy=str(file),
        outcome=ReloadOutcome.KEPT if problems else ReloadOutcome.LOADED,
        problems=problems,
    )


async def _load(relay: Relay, file: Path) -> tuple[str, ...]:
    from relay.config.policy_file import load_policy
    from relay.config.problems import PolicyFileError
    from relay.lab.catalogue import SCENARIOS
    from relay.tls.trust import TrustError

    try:
        policy = await asyncio.to_thread(load_policy, file, known_scenarios=frozenset(SCENARIOS))
        await relay.load(policy)
    except PolicyFileError as error:
        return tuple(str(problem) for problem in error.problems)
    except TrustError as error:
        return (str(error),)
    except OSError as error:
        return (f"can't read {file}: {error.strerror}",)
    except Exception:
        # A relay that serves must not end because of a file.
        log.exception("the policy can not be read again")
        return ("an error in the relay itself, see its log",)
    return ()
