"""The tree of commands; a command's module is imported when that command is asked for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from relay import __version__

_COMMANDS: Final = {
    "serve": "relay.cli.serve",
    "send": "relay.cli.send",
    "demo": "relay.cli.demo",
    "what-if": "relay.cli.what_if",
    "check": "relay.cli.check",
    "prove": "relay.cli.prove",
    "codes": "relay.cli.codes",
    "readyz": "relay.cli.ready",
}
"""Where the function of each command is, which bears its name."""
_GROUPS: Final = {
    "policy": "Check, explain and list policies.",
    "messages": "What was sent, and its way.",
    "bounces": "What was not delivered, and why.",
    "contacts": "Contacts and leads, and which of them bounced.",
    "journal": "The journal itself: check, export, import.",
    "log": "The e-mail log, as Salesforce has it.",
    "lab": "The receivers that break SMTP TLS.",
    "certs": "The lab's authority and certificates.",
}
"""What each group of commands is about; the group is the `app` of the module of its name."""


class _Commands(MutableMapping[str, Any]):
    """All commands in the order of the help, each built when it is looked up.

    Building all of them, with the modules that they come from, takes longer than all else that
    `relay serve` does before it imports the relay.
    """

    def __init__(self) -> None:
        self._built: dict[str, Any] = dict.fromkeys([*_COMMANDS, *_GROUPS])

    def __getitem__(self, name: str) -> Any:
        command = self._built[name]
        if command is None:
            command = self._built[name] = _build(name)
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        self._built[name] = command

    def __delitem__(self, name: str) -> None:
        del self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._built)

    def __len__(self) -> int:
        return len(self._built)


def _build(name: str) -> Any:
    alone = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    if name in _COMMANDS:
        alone.command(name)(getattr(import_module(_COMMANDS[name]), name.replace("-", "_")))
    else:
        alone.add_typer(import_module(f"relay.cli.{name}").app, name=name, help=_GROUPS[name])
    return get_group(alone).commands[name]


class _Root(TyperGroup):
    """`relay` itself."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = _Commands()

    def list_commands(self, ctx: Any) -> list[str]:
        return list(self.commands)


app = typer.Typer(
    cls=_Root,
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
