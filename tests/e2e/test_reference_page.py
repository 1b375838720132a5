"""docs/policy.md and docs/cli.md: made of what they describe, and complete."""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest
from page_commands import REPOSITORY
from typer.core import TyperGroup
from typer.main import get_command

from relay.cli.app import app
from relay.cli.console import ExitCode
from relay.cli.streams import READER_GONE
from relay.config.schema import policy_schema

DOCS = REPOSITORY / "docs"
NAMES = ("policy", "cli")


def builder(name: str) -> ModuleType:
    file = DOCS / f"build_{name}_page.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_what_its_source_makes_of_it(name: str) -> None:
    made = builder(name).page()
    how = f"run: .venv/bin/python docs/build_{name}_page.py"
    assert (DOCS / f"{name}.md").read_text("utf-8") == made, how


def test_every_key_of_a_policy_has_its_place() -> None:
    text = (DOCS / "policy.md").read_text("utf-8")
    schema = policy_schema()
    assert re.findall(r"^### `([a-z_]+)`$", text, re.MULTILINE) == list(schema["properties"])
    told = text.partition("## The keys of mappings")[2]
    keys = {key for shape in schema["$defs"].values() for key in shape["properties"]}
    assert [key for key in keys if f"`{key}`" not in told] == []


def commands(command: object, path: str) -> list[str]:
    if not isinstance(command, TyperGroup):
        return [path]
    return [line for name, c in command.commands.items() for line in commands(c, f"{path} {name}")]


def test_every_command_and_exit_code_has_its_place() -> None:
    text = (DOCS / "cli.md").read_text("utf-8")
    every = commands(get_command(app), "relay")
    assert len(every) > 30
    assert re.findall(r"^\| \[`(.+)`\]\(#", text, re.MULTILINE) == every
    assert re.findall(r"^```\n(relay[a-z -]+?) [\[{]", text, re.MULTILINE) == every
    codes = re.findall(r"^\| (\d+) \| .+ \|$", text, re.MULTILINE)
    assert codes == [str(int(code)) for code in (*ExitCode, READER_GONE)]
