"""`relay readyz`: the command around `relay.cli.readyz`."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.console import ExitCode, fail
from relay.cli.readyz import wait_until_ready
from relay.cli.state import StateDir, StateOption


def readyz(
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until ready instead of looking once.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long --wait waits.")
    ] = 30.0,
    state: StateOption = None,
) -> None:
    """Exit 0 when the relay takes mail, else 1.

    Then every listener greets, and the journal can be written.
    """
    where = StateDir.of(state)
    left = wait_until_ready(where.serving, timeout if wait else 0.0)
    if left:
        fail(f"not ready: {'; '.join(left)}", code=ExitCode.FINDING)
    typer.echo("ready")
