"""What `relay serve` is told of how much the journal keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from relay.journal.pruning import Keep

KeepMessagesOption = Annotated[
    int | None,
    typer.Option(
        "--keep-messages",
        envvar="RELAY_KEEP_MESSAGES",
        metavar="N",
        min=1,
        help="Keep the newest N messages, and those not settled yet [default: all].",
        show_default=False,
    ),
]
KeepDaysOption = Annotated[
    int | None,
    typer.Option(
        "--keep-days",
        envvar="RELAY_KEEP_DAYS",
        metavar="D",
        min=1,
        max=36500,
        help="Keep messages for D days, and those not settled yet [default: for ever].",
        show_default=False,
    ),
]


def keep_of(messages: int | None, days: int | None) -> Keep:
    """Return what the two options ask for."""
    from datetime import timedelta

    from relay.journal.pruning import Keep

    return Keep(messages=messages, age=None if days is None else timedelta(days=days))
