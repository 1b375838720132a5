"""docs/codes.md says what the tables say, and docs/email-log.md what the log has."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from relay.core.outcomes import Stage
from relay.formats.email_log import Column, MailEvent

DOCS = Path(__file__).parents[2] / "docs"
HOW = "run: .venv/bin/python docs/build_codes_page.py"


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_codes_page", DOCS / "build_codes_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_tables_make_of_it(builder: ModuleType) -> None:
    assert (DOCS / "codes.md").read_text("utf-8") == builder.page(), HOW


def test_every_row_of_the_page_is_a_whole_row(builder: ModuleType) -> None:
    for table in re.findall(r"(?:^\|.*\|\n)+", builder.page(), re.MULTILINE):
        widths = {len(re.findall(r"(?<!\\)\|", row)) for row in table.splitlines()}
        assert len(widths) == 1, table.splitlines()[0]


def test_the_log_page_has_every_column_event_and_stage() -> None:
    text = (DOCS / "email-log.md").read_text("utf-8")
    rows = re.findall(r"^\| (?:[A-O]|last[a-z ]*) \| `([^`]+)` \|", text, re.MULTILINE)
    assert rows == [column.value for column in Column]
    events = re.findall(r"^\| `([RDTP])` \|", text, re.MULTILINE)
    assert events == [event.value for event in MailEvent]
    stages = text.partition("## Stages")[2].partition("Momentum's")[0]
    assert re.findall(r"`([^`]+)`", stages) == [stage.value for stage in Stage]
