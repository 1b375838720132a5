"""One report, several forms: JUnit that CI reads, and a page that needs nothing else."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import pytest

from relay.formats.report import Cell, Mark, Report, ReportRow, Section, to_html, to_junit

HOSTILE = '<script>alert("1")</script>\x00\x1b[31m'


def report() -> Report:
    return Report(
        title="What would change",
        summary="One domain would stop being delivered to.",
        mark=Mark.BAD,
        facts=(("Now", "preferred.yaml"), ("Then", "required.yaml")),
        sections=(
            Section(
                title="Domains",
                columns=("Domain", "now", "then"),
                rows=(
                    ReportRow(
                        name="a.test",
                        mark=Mark.BAD,
                        cells=(Cell(text="clear"), Cell(text="451 4.7.6", mark=Mark.BAD)),
                        because=f"No STARTTLS: {HOSTILE}",
                        evidence=("<-- 250 mx.a.test", HOSTILE),
                    ),
                    ReportRow(
                        name="b.test",
                        mark=Mark.UNKNOWN,
                        cells=(Cell(text="clear"), Cell(text="unknown", mark=Mark.UNKNOWN)),
                        because="STARTTLS was never tried",
                    ),
                    ReportRow(
                        name="c.test",
                        mark=Mark.GOOD,
                        cells=(Cell(text="encrypted"), Cell(text="encrypted, unverified")),
                        because="encrypted, unverified",
                        evidence=("~~> MAIL FROM:<a@b.test>",),
                    ),
                ),
            ),
        ),
        notes=("Nothing was sent.",),
    )


def test_junit_fails_what_is_bad_and_skips_what_is_unknown() -> None:
    root = ET.fromstring(to_junit(report()))
    (suite,) = root.findall("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    bad, unknown, good = suite.findall("testcase")
    failure = bad.find("failure")
    assert failure is not None
    assert failure.get("message") == 'No STARTTLS: <script>alert("1")</script>\\x00\\x1b[31m'
    assert failure.text == '<-- 250 mx.a.test\n<script>alert("1")</script>\\x00\\x1b[31m'
    skipped = unknown.find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "STARTTLS was never tried"
    assert good.find("failure") is None
    assert good.findtext("system-out") == "encrypted, unverified\n~~> MAIL FROM:<a@b.test>"
    assert [(p.get("name"), p.get("value")) for p in suite.iter("property")] == [
        ("Now", "preferred.yaml"),
        ("Then", "required.yaml"),
    ]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_needs_nothing_else_and_runs_nothing() -> None:
    page = _Page()
    page.feed(to_html(report()))
    assert "script" not in page.tags
    assert page.links == []
    assert 'alert("1")' in page.text
    for expected in ("What would change", "required.yaml", "451 4.7.6", "Nothing was sent."):
        assert expected in page.text
    assert page.tags.count("details") == 2
    # What a cell says already is not said again below it.
    assert page.text.count("encrypted, unverified") == 1


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match=r"a\.test"):
        Section(
            title="t",
            columns=("Domain", "now"),
            rows=(ReportRow(name="a.test", mark=Mark.GOOD, cells=()),),
        )
