"""Identifiers: short, sortable by time, safe in a reply, a file name and a URL."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
ENTROPY_BITS: Final = 40
ID_FORM: Final = re.compile(f"[{_ALPHABET}]{{17}}")
"""What `make_id` returns."""


def make_id(at: datetime, entropy: int) -> str:
    """Return 17 characters of Crockford's base 32: milliseconds of `at`, then 40 random bits."""
    number = (int(at.timestamp() * 1000) << ENTROPY_BITS) | (entropy & ((1 << ENTROPY_BITS) - 1))
    digits = []
    for _ in range(17):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
