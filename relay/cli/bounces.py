"""`relay bounces`: what was not delivered, why, and who should do what about it."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.console import console, fail, print_json
from relay.cli.reading import JsonOption, LimitOption, reading
from relay.cli.state import StateOption

app = typer.Typer(name="bounces", no_args_is_help=True, help="What was not delivered, and why.")

_HINT = "`relay bounces list` shows what there is"


@app.command("list")
def list_bounces(
    *,
    limit: LimitOption = 20,
    recipient: Annotated[
        str | None, typer.Option("--recipient", metavar="ADDRESS", help="Only of this address.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only of addresses of this domain.")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option("--code", help="Only with this code, such as 451, 4.7.5 or '451 4.7.5'."),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only older than this bounce.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List bounces, the newest first."""
    from relay.cli.render import bounce_list
    from relay.core.jsonform import to_json

    with reading(state, hint=_HINT) as journal:
        try:
            found = journal.bounces(
                limit, before=before, recipient=recipient, domain=domain, code=code
            )
        except ValueError as error:
            fail(str(error), hint="`relay codes` lists the codes of a policy's code book")
    if as_json:
        print_json(to_json(found))
    elif found:
        console().print(bounce_list(found))
    elif any((recipient, domain, code, before)):
        typer.echo(f"No bounce is like that; {_HINT}.")
    else:
        typer.echo(
            "No bounces yet: nothing was refused. Under Required Verify this makes one:\n"
            "  relay send anyone@expired.lab.test"
        )


@app.command("show")
def show_bounce(
    bounce_id: Annotated[
        str, typer.Argument(metavar="ID|latest", help="A bounce's id, or the beginning of it.")
    ],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a bounce: code, cause, remedy, every fault, and the session's dialog."""
    from relay.cli.render import bounce_story
    from relay.core.jsonform import to_json
    from relay.journal.api import NotFound

    with reading(state, hint=_HINT) as journal:
        bounce = journal.bounce(bounce_id)
        session = None
        if bounce.session_id is not None and not as_json:
            try:
                session = journal.session(bounce.session_id)
            except NotFound:
                session = None
    if as_json:
        print_json(to_json(bounce))
    else:
        console().print(bounce_story(bounce, session))
