"""A result for people to read and for CI to judge: what `check`, `prove` and `what-if` report.

    Report ──< Section ──< ReportRow ──< Cell

Each command puts its own result into this form once; the table, JUnit and HTML are made of it here
and in the commands' one table printer. The JSON of a result is the result itself.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from importlib.resources import files
from typing import assert_never


@unique
class Mark(Enum):
    """What a reader should make of something."""

    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"
    UNKNOWN = "unknown"
    PLAIN = "plain"
    """Nothing to be judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One value, in plain text."""

    text: str
    mark: Mark = Mark.PLAIN


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One thing that was judged: `because` in a sentence or a few, `evidence` line by line."""

    name: str
    mark: Mark
    cells: tuple[Cell, ...]
    because: str = ""
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Rows of one kind; `columns` head the name and then the cells."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[ReportRow, ...]

    def __post_init__(self) -> None:
        if odd := [row.name for row in self.rows if len(row.cells) + 1 != len(self.columns)]:
            raise ValueError(f"rows without a cell for each column: {', '.join(odd)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole report: `summary` answers in a sentence, `facts` say what was asked of what, when."""

    title: str
    summary: str
    mark: Mark
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
    notes: tuple[str, ...] = ()

    @property
    def rows(self) -> Iterable[ReportRow]:
        """Every row, in order."""
        return (row for section in self.sections for row in section.rows)


def to_junit(report: Report) -> str:
    """Return the report as JUnit XML: a suite for each section, a test case for each row.

    What is bad fails, what is unknown is skipped, with the reason. The form is the one that
    Jenkins, GitLab and GitHub's actions read (testsuites, testsuite, testcase, failure, skipped).
    """
    root = ET.Element("testsuites", name=report.title)
    for section in report.sections:
        marks = Counter(row.mark for row in section.rows)
        suite = ET.SubElement(
            root,
            "testsuite",
            name=section.title,
            tests=str(len(section.rows)),
            failures=str(marks[Mark.BAD]),
            errors="0",
            skipped=str(marks[Mark.UNKNOWN]),
        )
        properties = ET.SubElement(suite, "properties")
        for name, value in report.facts:
            ET.SubElement(properties, "property", name=_printable(name), value=_printable(value))
        for row in section.rows:
            _test_case(suite, section, row)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _test_case(suite: ET.Element, section: Section, row: ReportRow) -> None:
    case = ET.SubElement(suite, "testcase", classname=section.title, name=_printable(row.name))
    because = _printable(row.because)
    match row.mark:
        case Mark.BAD:
            ET.SubElement(case, "failure", message=because).text = _evidence(row)
        case Mark.UNKNOWN:
            ET.SubElement(case, "skipped", message=because)
        case Mark.GOOD | Mark.WARNING | Mark.PLAIN:
            if because or row.evidence:
                ET.SubElement(case, "system-out").text = "\n".join(
                    part for part in (because, _evidence(row)) if part
                )
        case _:
            assert_never(row.mark)


def _evidence(row: ReportRow) -> str:
    return "\n".join(map(_printable, row.evidence))


def _printable(text: str) -> str:
    """Escape what XML 1.0 section 2.2 has no place for: a peer may have said anything."""
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def to_html(report: Report) -> str:
    """Return the report as one page that needs nothing else: no script, no font, no image."""
    from jinja2 import Environment, StrictUndefined

    source = files("relay.formats").joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(source).render(report=report, Mark=Mark)
