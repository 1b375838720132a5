"""The project about itself: sizes of modules, the README's table, links, shipped files."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from relay.audit.expectations import EXPECTATIONS
from relay.core.settings import TlsSetting
from relay.lab.catalogue import SCENARIOS
from relay.lab.recipes import shipped_recipes

REPOSITORY = Path(__file__).parents[2]
# Data tables may be as long as their data.
DATA_TABLES = {"fault_cards.py", "codebook_data.py", "code_meanings.py"}
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])


def test_no_module_is_over_500_lines() -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in (REPOSITORY / "relay").rglob("*.py")
        if path.name not in DATA_TABLES and (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


def test_the_readmes_table_is_what_the_demo_expects() -> None:
    readme = (REPOSITORY / "README.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", readme, re.MULTILINE)
    assert len(rows) >= 14
    for name, cells in rows:
        shown = [cell.strip() for cell in cells.split("|")]
        assert shown == [str(EXPECTATIONS[name][setting]) for setting in TlsSetting], name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_recipe_that_a_scenario_names_exists() -> None:
    used = {card.recipe for card in SCENARIOS.values() if card.recipe is not None}
    assert used <= set(shipped_recipes())


def test_each_module_of_the_tests_has_a_name_of_its_own() -> None:
    """Without packages, pytest and mypy know a module by its file's name alone."""
    modules = (REPOSITORY / "tests").rglob("*.py")
    names = Counter(path.name for path in modules if path.name != "conftest.py")
    assert [name for name, count in names.items() if count > 1] == []
