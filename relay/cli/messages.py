"""`relay messages`: what was accepted, and each message's way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import console, fail, print_json
from relay.cli.reading import JsonOption, LimitOption, reading
from relay.cli.state import StateOption

if TYPE_CHECKING:
    from relay.journal.api import RecipientState

app = typer.Typer(name="messages", no_args_is_help=True, help="What was accepted, and its way.")

_HINT = "`relay messages list` shows what there is."


@app.command("list")
def list_messages(
    *,
    limit: LimitOption = 20,
    recipient: Annotated[
        str | None, typer.Option("--recipient", metavar="ADDRESS", help="Only to this address.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only to addresses of this domain.")
    ] = None,
    recipient_state: Annotated[
        str | None,
        typer.Option(
            "--recipient-state",
            metavar="STATE",
            help="Only with a recipient that is queued, inline, delivered, failed or abandoned.",
        ),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only older than this message.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List messages, the newest first."""
    from relay.cli.render import message_list
    from relay.core.jsonform import to_json

    wanted = None if recipient_state is None else _recipient_state(recipient_state)
    with reading(state, hint=_HINT) as journal:
        found = journal.messages(
            limit, before=before, recipient=recipient, domain=domain, state=wanted
        )
    if as_json:
        print_json(to_json(found))
    elif found:
        console().print(message_list(found))
    elif any((recipient, domain, recipient_state, before)):
        typer.echo(f"No message is like that; {_HINT}")
    else:
        typer.echo(
            "No messages yet. Send one to a receiver of the lab:\n"
            "  relay send anyone@expired.lab.test"
        )


@app.command("show")
def show_message(
    message_id: Annotated[
        str, typer.Argument(metavar="ID|latest", help="A message's id, or the beginning of it.")
    ],
    *,
    raw: Annotated[
        bool, typer.Option("--raw", help="Print the message itself, as it was received.")
    ] = False,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a message's way: rules, hosts, verdicts and dialogs."""
    from relay.cli.render import message_story
    from relay.core.jsonform import to_json

    if raw and as_json:
        fail("--raw and --json exclude each other")
    with reading(state, hint=_HINT) as journal:
        if raw:
            typer.echo(journal.content(message_id), nl=False)
            return
        record = journal.message(message_id)
    if as_json:
        print_json(to_json(record))
    else:
        console().print(message_story(record))


def _recipient_state(text: str) -> RecipientState:
    from relay.journal.api import RecipientState

    try:
        return RecipientState(text.lower())
    except ValueError:
        allowed = ", ".join(known.value for known in RecipientState)
        fail(f"{text!r} is not a recipient's state", hint=f"Allowed: {allowed}.")
