"""Commands where the state directory, or every directory for temporary files, can't be written."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli.app import app


@pytest.fixture
def no_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose root is read-only."""
    nowhere = tmp_path / "file"
    nowhere.write_text("")
    monkeypatch.setattr(tempfile, "tempdir", str(nowhere))


def said(*words: str) -> str:
    """Run a command that can't do its work; return what it printed."""
    result = CliRunner().invoke(app, list(words), env={"RELAY_STATE": None})
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 3, result.output
    return result.output


@pytest.mark.usefixtures("no_temporary_files")
@pytest.mark.parametrize(
    "command",
    ["demo --scenario good", "send a@good.lab.test --policy required", "prove --scenarios expired"],
)
def test_a_command_with_relays_of_its_own_says_that_they_find_no_place(command: str) -> None:
    assert said(*command.split()) == (
        "relay: no directory for temporary files can be made: Not a directory\n"
        "  Make room, or name one that can be written: TMPDIR=DIR before the command.\n"
    )


@pytest.mark.parametrize(
    "command",
    ["certs ca", "check expired.lab.test", "lab serve", "prove --relay 127.0.0.1:25"],
)
def test_where_certificates_find_no_place_another_directory_is_proposed(
    tmp_path: Path, command: str
) -> None:
    (tmp_path / "file").write_text("")
    printed = said(*command.split(), "--state", str(tmp_path / "file"))
    assert "the lab's certificates can't be kept in" in printed
    assert printed.endswith("\n  Name another state directory with --state DIR.\n")
