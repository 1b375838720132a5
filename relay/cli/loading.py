"""Loading libraries without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_USUAL: Final = gc.get_threshold()
_SELDOM: Final = 20_000
"""Objects more than there were, for which a command that starts looks for garbage."""


@contextmanager
def loading() -> Iterator[None]:
    """Leave the garbage collector off within; what was made in it is never looked at again.

    Modules and classes stay, so that looking for garbage among them finds none: a tenth of the time
    in which `relay serve` starts, and a pause for each full collection afterwards.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def collect_seldom() -> None:
    """Look for garbage seldom: what a command loads is none, and would be looked at 70 times."""
    gc.set_threshold(_SELDOM)


def collect_as_usual() -> None:
    """Look for garbage as often as Python does by itself: little at a time, for short pauses."""
    gc.set_threshold(*_USUAL)
