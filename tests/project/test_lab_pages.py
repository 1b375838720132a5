"""The lab's pages say what the cards and the expectations say, and their recordings agree."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from relay.audit.expectations import EXPECTATIONS
from relay.core.settings import TlsSetting
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS, SCENARIOS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = DOCS / "lab"
HOW = "run: .venv/bin/python docs/build_lab_pages.py"


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_lab_pages", DOCS / "build_lab_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def recording(builder: ModuleType, name: str) -> str:
    found = builder.recording_in((PAGES / f"{name}.md").read_text("utf-8"))
    assert isinstance(found, str), HOW
    return found


def test_every_scenario_has_a_page_and_every_page_a_scenario() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} == {"README", *SCENARIOS}, HOW


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_page_is_what_its_card_makes_of_it(builder: ModuleType, name: str) -> None:
    text = (PAGES / f"{name}.md").read_text("utf-8")
    assert text == builder.page(name, recording(builder, name)), HOW


def test_the_index_is_what_the_cards_make_of_it(builder: ModuleType) -> None:
    assert (PAGES / "README.md").read_text("utf-8") == builder.index(SCENARIOS.values()), HOW


def test_the_index_lists_each_scenario_once_under_its_family() -> None:
    sections = re.split(r"^## ", (PAGES / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    listed = [
        (name, section.split("\n", 1)[0])
        for section in sections
        for name in re.findall(r"^\| \[([a-z0-9-]+)\]\(\1\.md\)", section, re.MULTILINE)
    ]
    assert sorted(listed) == sorted((card.name, card.family.value) for card in SCENARIOS.values())


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recording_ends_as_people_expect(builder: ModuleType, name: str) -> None:
    text = recording(builder, name)
    expected = EXPECTATIONS[name][TlsSetting.REQUIRED_VERIFY]
    first = re.search(r"^Reply  (\d{3} \d\.\d+\.\d+)", text, re.MULTILINE)
    assert first is not None
    assert first[1] == (expected.code or "250 2.0.0")
    faults = re.findall(r"^Fault  ([a-z-]+):", text, re.MULTILINE)
    if name not in LAB_SCENARIOS or not LAB_SCENARIOS[name].rotation:
        assert faults == [kind.value for kind in SCENARIOS[name].faults]
    if faults and first[1] == expected.code:
        assert "> MAIL FROM" not in text


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_recording_is_plain_text_without_port_or_date(builder: ModuleType, name: str) -> None:
    text = recording(builder, name)
    assert text.replace("\n", "").isprintable()
    assert not re.search(r"\]:\d|\d{4}-\d\d-\d\d", text)
    if name in DNS_SCENARIOS:
        assert text.startswith(f"Asked     {name}.lab.test MX\nAnswered  ")
    reached = name not in DNS_SCENARIOS or DNS_SCENARIOS[name].problem is None
    assert ("[127.0.0.1]:PORT" in text) is reached
