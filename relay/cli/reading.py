"""Reading the journal in a command, also beside a running relay: errors end with one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, fail
from relay.cli.state import StateDir

if TYPE_CHECKING:
    from relay.journal.api import JournalReader

JsonOption = Annotated[bool, typer.Option("--json", help="Print the records as JSON.")]

LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="How many, newest first.")]


@contextmanager
def reading(state: Path | None, *, hint: str) -> Iterator[JournalReader]:
    """Open the journal of a state directory; `hint` says what to do where nothing has that id."""
    from relay.journal.api import JournalError, NoJournal, NotFound
    from relay.journal.sqlite_reader import open_reader

    path = StateDir.of(state).journal
    try:
        with closing(open_reader(path)) as journal:
            yield journal
    except NoJournal:
        fail(
            f"there is no journal yet at {path}",
            hint="Start one with `relay serve`.",
            code=ExitCode.UNDETERMINED,
        )
    except NotFound as error:
        fail(str(error), hint=hint, code=ExitCode.UNDETERMINED)
    except JournalError as error:
        fail(str(error), code=ExitCode.UNDETERMINED)
