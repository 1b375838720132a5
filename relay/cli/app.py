"""The tree of commands; a command's module is imported when that command is asked for."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from relay import __version__

_COMMANDS: Final = {
    "serve": "Start the relay and its lab; end them with Ctrl-C or SIGTERM.",
    "send": "Send a message and tell its story.",
    "demo": "Send a message to every scenario under every setting.",
    "what-if": "Say what would become of mail under another policy.",
    "check": "Ask mail servers what TLS they offer.",
    "prove": "Prove whether a relay keeps what a TLS setting claims.",
    "codes": "Explain a code or a bounce, and how to reproduce it.",
    "readyz": "Exit 0 when the relay takes mail, else 1.",
}
"""What each command does, as its function says at first."""
_MODULES: Final = {"readyz": "ready"}
"""Where the function of a command is, which bears its name, if not in the module of its name."""
_GROUPS: Final = {
    "policy": "Check, explain, list and show policies.",
    "messages": "What was sent, and its way.",
    "bounces": "What was not delivered, and why.",
    "contacts": "Contacts and leads, and which of them bounced.",
    "journal": "The journal itself: check, vacuum, export, import.",
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
        function = name.replace("-", "_")
        module = import_module(f"relay.cli.{_MODULES.get(name, function)}")
        alone.command(name)(getattr(module, function))
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

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        # One line of each needs none of their modules.
        told = [TyperCommand(name, help=text) for name, text in (_COMMANDS | _GROUPS).items()]
        TyperGroup(commands=told).format_commands(ctx, formatter)


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
