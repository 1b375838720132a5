"""CSV (RFC 4180) that people open in a spreadsheet.

Files that another program reads, Salesforce's among them, are not written by this module: there a
cell must be what it was.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

_WIDE: Final = "\uff1d\uff0b\uff0d\uff20"
"""Signs of a formula in the width of Chinese and Japanese: = + - @."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n", *_WIDE)
"""What a text begins with that some spreadsheet takes for a formula."""


def spreadsheet_csv(rows: Iterable[Sequence[str | int]]) -> str:
    """Return rows as CSV, lines ending in CRLF, of which no text is taken for a formula.

    A text that would be has an apostrophe before it, by which a spreadsheet knows text (CWE-1236).
    """
    out = io.StringIO(newline="")
    csv.writer(out).writerows([_shown(cell) for cell in row] for row in rows)
    return out.getvalue()


def _shown(cell: str | int) -> str | int:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
