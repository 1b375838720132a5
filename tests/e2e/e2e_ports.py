"""Ports for programs that must be told one before they start.

A port that the system gave and got back is no longer ours: the next socket of any test in any other
process may be given it. So these come from below the range that systems give from, and each of
pytest's workers has a part of its own.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
from collections.abc import Sequence
from typing import Final

_FIRST: Final = 12_000
_END: Final = 20_000
"""Behind it are the ports of the shells that run the pages' commands; Linux gives ports from 32768
on, other systems from 49152 on."""
_PARTS: Final = 8

_WIDTH: Final = (_END - _FIRST) // _PARTS


def _own_part() -> range:
    worker = re.sub(r"\D", "", os.environ.get("PYTEST_XDIST_WORKER", "")) or "0"
    start = _FIRST + int(worker) % _PARTS * _WIDTH
    return range(start, start + _WIDTH)


_turn: Final = itertools.cycle(_own_part())


def free_port(addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """Return a port where nothing listens at these addresses, another one at each call."""
    return free_run(1, addresses)


def free_run(count: int, addresses: Sequence[str] = ("127.0.0.1",)) -> int:
    """Return the first of so many free ports in a row.

    Raise AssertionError where there is no such row.
    """
    part = _own_part()
    row: list[int] = []
    for port in itertools.islice(_turn, 2 * len(part)):
        if row and port != row[-1] + 1:
            row.clear()
        row.append(port)
        if not all(_is_free(address, port) for address in addresses):
            row.clear()
        if len(row) == count:
            return row[0]
    raise AssertionError(f"no {count} free ports in a row from {part.start} to {part.stop - 1}")


def _is_free(address: str, port: int) -> bool:
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.bind((address, port))
        return True
    return False
