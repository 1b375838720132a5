"""Tables that are typed by hand into tests: a line for each row, `|` between its cells."""

from __future__ import annotations


def rows(table: str) -> list[list[str]]:
    """Return each row's cells; empty lines and those that begin with `#` are none."""
    lines = [line for line in table.splitlines() if line.strip() and not line.startswith("#")]
    return [[cell.strip() for cell in line.split("|")] for line in lines]


def cells(table: str) -> dict[tuple[str, str], str]:
    """Return a table's cells by the beginning of their row and the head of their column."""
    (_, *heads), *others = rows(table)
    return {
        (begin, head): cell for begin, *own in others for head, cell in zip(heads, own, strict=True)
    }
