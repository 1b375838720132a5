"""The state directory: where a relay keeps its journal, bounce lines, certificates and lock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import typer

from relay.cli.console import ExitCode, fail


def default_state_dir() -> Path:
    """Return the per-user state directory of this system (XDG on Linux)."""
    import platformdirs

    return Path(platformdirs.user_state_dir("relaylab", appauthor=False))


StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        envvar="RELAY_STATE",
        metavar="DIR",
        help="Directory of the journal, bounce lines and lab certificates "
        "[default: relaylab in the user's state directory].",
        show_default=False,
    ),
]
"""The option that every command shares."""

ELSEWHERE: Final = "Name another state directory with --state DIR."
"""What to do where the directory can't be used."""


@dataclass(frozen=True, slots=True)
class StateDir:
    """Names everything that lies in a state directory."""

    path: Path

    @classmethod
    def of(cls, option: Path | None) -> StateDir:
        """Return the directory that the option names, or the default one."""
        return cls((option or default_state_dir()).absolute())

    @property
    def journal(self) -> Path:
        """The SQLite file."""
        return self.path / "journal.sqlite3"

    @property
    def bounce_lines(self) -> Path:
        """Bounces as JSON lines, to tail."""
        return self.path / "bounces.jsonl"

    @property
    def contacts(self) -> Path:
        """Contacts and leads, an SQLite file of their own."""
        return self.path / "contacts.sqlite3"

    @property
    def probes(self) -> Path:
        """What `relay what-if --probe` found, as an evidence file."""
        return self.path / "probes.json"

    @property
    def serving(self) -> Path:
        """What a running relay listens on, as JSON; absent when none runs."""
        return self.path / "serving.json"

    @property
    def reload_report(self) -> Path:
        """How the last reload by a signal ended, as JSON; absent when there was none."""
        return self.path / "reload.json"

    @property
    def certificates(self) -> Path:
        """The lab's authority and its certificates."""
        return self.path / "certs"


@contextmanager
def passing_state() -> Iterator[Path]:
    """Give a directory for a command's own relays, which is gone at the end.

    Ends the command where the system has no place for one.
    """
    import tempfile

    try:
        directory = tempfile.TemporaryDirectory(prefix="relaylab-")
    except OSError as error:
        fail(
            f"no directory for temporary files can be made: {error.strerror}",
            hint="Make room, or name one that can be written: TMPDIR=DIR before the command.",
            code=ExitCode.UNDETERMINED,
        )
    with directory as name:
        yield Path(name)
