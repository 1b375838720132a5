"""CSV for a spreadsheet: no text of others becomes a formula, and everything else stays."""

from __future__ import annotations

import csv
import io

import pytest

from relay.formats.spreadsheet import spreadsheet_csv


@pytest.mark.parametrize("first", [*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20"], ids=ascii)
def test_what_looks_like_a_formula_is_text(first: str) -> None:
    text = f'{first}HYPERLINK("http://example.test")'
    (row,) = csv.reader(io.StringIO(spreadsheet_csv([["a", text]]), newline=""))
    assert row == ["a", f"'{text}"]


@pytest.mark.parametrize("cell", ["a@b.test", "451 4.7.5 expired", "", "'=1", 'x, "y"\n=z', "é"])
def test_other_text_stays_as_it_is(cell: str) -> None:
    (row,) = csv.reader(io.StringIO(spreadsheet_csv([[cell, "z"]]), newline=""))
    assert row == [cell, "z"]


def test_numbers_stay_numbers_and_lines_end_in_crlf() -> None:
    assert spreadsheet_csv([["what", "count"], ["x", -1]]) == "what,count\r\nx,-1\r\n"
