"""Identifiers: short, sortable by time, safe in a reply, a file name and a URL."""

from __future__ import annotations

import re
from base64 import b32encode
from collections.abc import Callable
from datetime import datetime
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_FROM_RFC_4648: Final = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", _ALPHABET.encode())
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
ENTROPY_BITS: Final = 40
ID_FORM: Final = re.compile(f"[{_ALPHABET}]{{17}}")
"""What `make_id` returns."""

_DRAWN_AT_ONCE: Final = 64
"""Identifiers that one call for random octets is enough for."""


def make_id(at: datetime, entropy: int) -> str:
    """Return 17 characters of Crockford's base 32: milliseconds of `at`, then 40 random bits."""
    return _time_digits(int(at.timestamp() * 1000)) + _eight_digits(entropy)


class IdMaker:
    """Makes identifiers as `make_id` does, at a fraction of its price.

    `random` returns as many random octets as it is asked for: it is asked for many identifiers'
    worth at once, and each bit is used once. Not to be shared by processes that fork.
    """

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._drawn: list[str] = []
        self._milliseconds = -1
        self._time = ""

    def __call__(self, at: datetime) -> str:
        """Return a new identifier of the time `at`."""
        milliseconds = int(at.timestamp() * 1000)
        if milliseconds != self._milliseconds:
            self._time = _time_digits(milliseconds)
            self._milliseconds = milliseconds
        if not self._drawn:
            drawn = b32encode(self._random(_DRAWN_AT_ONCE * ENTROPY_BITS // 8))
            text = drawn.translate(_FROM_RFC_4648).decode()
            digits = ENTROPY_BITS // 5
            self._drawn = [text[start : start + digits] for start in range(0, len(text), digits)]
        return self._time + self._drawn.pop()


def _time_digits(number: int) -> str:
    return _ALPHABET[number >> 40 & 31] + _eight_digits(number)


def _eight_digits(number: int) -> str:
    return (
        _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )
