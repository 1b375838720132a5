"""The tree of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from relay import __version__

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
