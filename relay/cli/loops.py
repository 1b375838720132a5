"""Which event loop `relay serve` runs in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum, unique
from typing import Annotated, assert_never

import typer

from relay.cli.console import fail


@unique
class LoopKind(Enum):
    """An event loop; `auto` is uvloop where that is installed."""

    AUTO = "auto"
    ASYNCIO = "asyncio"
    UVLOOP = "uvloop"


LoopOption = Annotated[
    LoopKind,
    typer.Option(
        "--loop",
        envvar="RELAY_LOOP",
        help="The event loop: uvloop takes less memory, auto takes it where it is installed.",
    ),
]


def loop_factory(wanted: LoopKind) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes the event loop; ends the command where it is not installed."""
    match wanted:
        case LoopKind.ASYNCIO:
            return asyncio.new_event_loop
        case LoopKind.AUTO | LoopKind.UVLOOP:
            try:
                import uvloop
            except ImportError:
                if wanted is LoopKind.AUTO:
                    return asyncio.new_event_loop
                fail("uvloop is not installed", hint="Install it: pip install 'relaylab[uvloop]'.")
            new_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
            return new_loop
        case _:
            assert_never(wanted)
