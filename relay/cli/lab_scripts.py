"""Fault scripts on the command line: the option, what is loaded said in lines, the reading again.

Only the standard library and light modules at import time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import counted, fail, print_json
from relay.cli.reloaded import ReloadOutcome, ScriptsReload

if TYPE_CHECKING:
    from relay.core.fault_scripts import FaultScript
    from relay.core.jsonform import Json
    from relay.lab.lab import Lab

ScriptOption = Annotated[
    Path | None,
    typer.Option(
        "--script",
        envvar="RELAY_LAB_SCRIPT",
        metavar="FILE",
        help="Fault scripts: when receivers fail beyond what their scenarios do.",
        show_default=False,
    ),
]
LabScriptOption = Annotated[
    Path | None,
    typer.Option(
        "--lab-script",
        envvar="RELAY_LAB_SCRIPT",
        metavar="FILE",
        help="Fault scripts: when the lab's receivers fail beyond what their scenarios do.",
        show_default=False,
    ),
]

log = logging.getLogger("relay.cli")


def open_scripts(path: Path | None, *also: str) -> tuple[FaultScript, ...]:
    """Load the file, if any; end the command with every problem in it.

    `also` are receivers beside those of the catalogue.
    """
    from relay.config.problems import PolicyFileError

    if path is None:
        return ()
    try:
        return _load(path, also)
    except PolicyFileError as error:
        for problem in error.problems:
            typer.echo(str(problem), err=True)
        fail(f"{path} can't be used: {counted(len(error.problems), 'problem')}")
    except OSError as error:
        fail(f"can't read {path}: {error.strerror}")


def script_schema() -> None:
    """Print the JSON Schema of fault scripts, for editors."""
    from relay.config.schema import fault_script_schema

    print_json(fault_script_schema())


async def read_again(lab: Lab, path: Path, *also: str) -> ScriptsReload:
    """Put the file's scripts in force from their beginning, or keep those of before."""
    problems = await _put_in_force(lab, path, also)
    return ScriptsReload(
        file=str(path),
        outcome=ReloadOutcome.KEPT if problems else ReloadOutcome.LOADED,
        problems=problems,
        in_force=tuple(told(lab.scripts)),
    )


async def _put_in_force(lab: Lab, path: Path, also: Sequence[str]) -> tuple[str, ...]:
    """Load the file into the lab; return what keeps it from being used, a line each."""
    from relay.config.problems import PolicyFileError

    try:
        lab.load_scripts(await asyncio.to_thread(_load, path, also))
    except PolicyFileError as error:
        return tuple(map(str, error.problems))
    except OSError as error:
        return (f"can't read {path}: {error.strerror}",)
    except Exception:
        # A relay that serves must not end because of a file.
        log.exception("the fault scripts can not be read again")
        return ("an error in the relay itself, see its log",)
    return ()


def told(scripts: Sequence[FaultScript]) -> Iterator[str]:
    """Yield a line for each script: its scenario, its rules and its seed."""
    for script in scripts:
        rules = counted(len(script.rules), "rule")
        where = f" ({script.place})" if script.place else ""
        yield f"fault script for {script.scenario}: {rules}, seed {script.seed}{where}"


def plain(scripts: Sequence[FaultScript]) -> Json:
    """Return what a `--json` document says of the scripts."""
    return [
        {"scenario": script.scenario, "rules": len(script.rules), "seed": script.seed}
        for script in scripts
    ]


def _load(path: Path, also: Sequence[str]) -> tuple[FaultScript, ...]:
    from relay.config.fault_script_file import load_fault_scripts
    from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS

    known = {*LAB_SCENARIOS, CAPTURE.card.name, *also}
    return load_fault_scripts(path, known_scenarios=known)
