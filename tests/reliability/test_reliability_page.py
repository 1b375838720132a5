"""docs/reliability.md names tests that exist, and its codes are those of the tests."""

from __future__ import annotations

import re
from pathlib import Path

import test_stages

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/reliability.md").read_text()


def test_every_test_that_the_page_names_exists() -> None:
    named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", PAGE)
    assert len(named) >= 30
    for file, test in named:
        (source,) = HERE.parent.rglob(file)
        assert re.search(rf"^(async )?def {test}\(", source.read_text(), re.MULTILINE), test


def test_the_table_of_stages_is_that_of_the_tests() -> None:
    rows = re.findall(
        r"^\| ([^|]+) \| (\d{3} [\d.]+) \| (\d{3} [\d.]+) \| (\d{3} [\d.]+) \|$", PAGE, re.MULTILINE
    )
    tested = zip(test_stages.STALLS, test_stages.NONSENSICAL, test_stages.CLOSING, strict=True)
    assert [row[1:] for row in rows] == [tuple(code for _, _, code in row) for row in tested]
