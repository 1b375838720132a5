"""How far a command is: a bar on standard error for whoever watches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console


class Update(Protocol):
    """Moves a bar on: by `advance` steps or to `completed` ones, and gives it another name."""

    def __call__(
        self,
        *,
        advance: float | None = None,
        completed: float | None = None,
        description: str | None = None,
    ) -> None: ...


@contextmanager
def progress_bar(
    err: Console, description: str, *, total: int | None, hidden: bool = False
) -> Iterator[Update]:
    """Show a bar while the block runs, and nothing of it afterwards.

    It is shown on a terminal alone, and `hidden` there too beside JSON, which is for a program, and
    beside lines that go to the same terminal. `total` are the steps to take, None where nobody has
    counted them.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()
    with Progress(
        *columns, console=err, transient=True, disable=hidden or not err.is_terminal
    ) as bar:
        task = bar.add_task(description, total=total)

        def update(
            *,
            advance: float | None = None,
            completed: float | None = None,
            description: str | None = None,
        ) -> None:
            bar.update(task, advance=advance, completed=completed, description=description)

        yield update
