"""Makes docs/cli.md, every command with its options, from the commands themselves.

Run it after a command or an option has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from typer.core import TyperGroup
from typer.main import get_command

from relay.cli.app import app
from relay.cli.console import ExitCode
from relay.cli.streams import READER_GONE

PAGE: Final = Path(__file__).parent / "cli.md"
EXIT_CODES: Final[Mapping[int, str]] = {
    ExitCode.AS_EXPECTED: "as expected",
    ExitCode.FINDING: "the finding: refused, leaked, not as expected, damaged",
    ExitCode.USAGE: "used wrongly: an option that there is not, a file that can't be read",
    ExitCode.UNDETERMINED: "could not be determined: nothing on record, nobody answered",
    READER_GONE: "ended without a word, since nobody reads the output any more",
}
_INTRODUCTION: Final = """\
<!-- Made by docs/build_cli_page.py from the commands. -->

# Commands

Each command explains itself with `--help`; this page is made of the same words. What stands in a
clone's environment is `.venv/bin/relay`; [Installing](install.md) puts `relay` on the path.

Results go to standard output, and what concerns the run itself to standard error: on a terminal how
far it is, too, unless `--json` is given. Output that is not a terminal's has 80 columns and no
colours. An option with an environment variable takes its value from there where the command line
doesn't have it.
"""
_CODES: Final = """\
Where a command's codes mean something narrower, it says so below. In `relay codes | head -1` the
first ends with 141, as `cat` does.
"""
_ALONE: Final = """\
`relay --version` prints the version, and `relay --help` the list of commands;
`--install-completion` and `--show-completion` are for [the shell](install.md#completion).
"""
_LISTED: Final = {"--help", "--install-completion", "--show-completion"}
"""Options that every command, or none but the first, has."""
_NAMED: Final = re.compile(r"(?P<code>`[^`]*`)|(?<![\w-])--[a-z]+(?:-[a-z]+)*")
_KINDS: Final = {"<int range>": "N", "<float range>": "N", "<str>": "TEXT"}
"""What an option's value is called here, where it has no name of its own."""


def page() -> str:
    """Return the whole page."""
    tree = get_command(app)
    commands = list(_commands(tree, "relay", None))
    listed = [
        f"| [`{path}`](#{path.replace(' ', '-')}) | {_first(command)} |"
        for path, command, _ in commands
        if not isinstance(command, TyperGroup)
    ]
    codes = [f"| {int(code)} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parts = [
        _INTRODUCTION,
        "\n".join(["| command | what it does |", "|---|---|", *listed]) + "\n",
        "## Exit codes\n",
        "\n".join(["| exit code | when |", "|---|---|", *codes]) + "\n",
        _CODES,
        "## Without a command\n",
        _ALONE,
        *(part for command in commands for part in _section(*command)),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _commands(command: Any, path: str, parent: Any) -> Iterator[tuple[str, Any, Any]]:
    context = command.context_class(command, info_name=path.rpartition(" ")[2], parent=parent)
    if parent is not None:
        yield path, command, context
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _commands(inner, f"{path} {name}", context)


def _first(command: Any) -> str:
    return " ".join(command.help.partition("\n\n")[0].split())


def _section(path: str, command: Any, context: Any) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        yield f"## {path}\n"
        yield f"{command.help}\n"
        return
    level = "##" if path.count(" ") == 1 else "###"
    yield f"{level} {path}\n"
    yield f"```\n{path} {' '.join(command.collect_usage_pieces(context))}\n```\n"
    yield f"{_marked(command.help)}\n"
    records = [r for p in command.get_params(context) if (r := p.get_help_record(context))]
    rows = [
        f"| `{_cell(_named(n))}` | {_cell(_marked(said))} |"
        for n, said in records
        if n not in _LISTED
    ]
    if rows:
        yield "\n".join(["| option | is |", "|---|---|", *rows]) + "\n"


def _named(record: str) -> str:
    """Return an option with its value, or an argument; a kind of value only where it tells."""
    name, _, kind = record.rpartition(" <")
    if not name:
        return record
    return f"{name} {_KINDS.get(f'<{kind}', f'<{kind}')}" if name.startswith("-") else name


def _marked(text: str) -> str:
    """Return a text with the options that it names as code."""
    return _NAMED.sub(lambda found: found[0] if found["code"] else f"`{found[0]}`", text)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
