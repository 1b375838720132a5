"""Reading the policy and the fault scripts again while the relay runs.

`relay policy reload` sends the signal and waits for the report. Only the standard library and light
modules at import time.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.cli.lab_scripts import read_again
from relay.cli.reloaded import ReloadOutcome, ReloadReport, read_report

if TYPE_CHECKING:
    from relay.engine.relay import Relay
    from relay.web.served import Kept

PAUSE: Final = 0.05
"""Seconds between two looks for the report."""

log = logging.getLogger("relay.cli")


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
    """Reads one relay's files again, once at a time, and leaves the report in a file.

    `scripts` is the file of its fault scripts, None where it was started without one.
    """

    def __init__(
        self, relay: Relay, policy: Path, report_file: Path, *, scripts: Path | None = None
    ) -> None:
        self._relay = relay
        self._policy = policy
        self._report_file = report_file
        self._scripts = scripts
        self._one_at_a_time = asyncio.Lock()

    async def report(self) -> ReloadReport:
        """Put each file in force, or keep what was in force before; return how that ended."""
        async with self._one_at_a_time:
            report = await reload_policy(self._relay, self._policy)
            if self._scripts is not None:
                scripts = await read_again(self._relay.lab, self._scripts)
                report = replace(report, lab_script=scripts)
        with contextlib.suppress(OSError):
            report.write(self._report_file)
        return report

    async def kept(self) -> Kept:
        """Do the same for the management port; return what keeps each file from being used."""
        from relay.web.served import Kept

        report = await self.report()
        scripts = () if report.lab_script is None else report.lab_script.problems
        return Kept(policy=report.problems, scripts=scripts)


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
