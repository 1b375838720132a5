"""Loading libraries without looking for garbage meanwhile."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
