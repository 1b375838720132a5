"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from relay import __version__
from relay.cli import bounces, certs, contacts, journal, lab, log, messages, policy
from relay.cli.check import check
from relay.cli.codes import codes
from relay.cli.demo import demo
from relay.cli.prove import prove
from relay.cli.ready import readyz
from relay.cli.send import send
from relay.cli.serve import serve
from relay.cli.what_if import what_if

app = typer.Typer(
    name="relay",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A local SMTP relay that enforces TLS policy, and a lab that breaks SMTP TLS.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relaylab {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    _version_wanted: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    pass


for command in (serve, send, demo, what_if, check, prove, codes, readyz):
    app.command()(command)
app.add_typer(policy.app, name="policy", help="Check, explain and list policies.")
app.add_typer(messages.app, name="messages", help="What was sent, and its way.")
app.add_typer(bounces.app, name="bounces", help="What was not delivered, and why.")
app.add_typer(contacts.app, name="contacts", help="Contacts and leads, and which of them bounced.")
app.add_typer(journal.app, name="journal", help="The journal itself: check, export, import.")
app.add_typer(log.app, name="log", help="The e-mail log, as Salesforce has it.")
app.add_typer(lab.app, name="lab", help="The receivers that break SMTP TLS.")
app.add_typer(certs.app, name="certs", help="The lab's authority and certificates.")
