"""Checks as a report, from which JUnit and the HTML page are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from relay import __version__
from relay.audit.check import Check
from relay.audit.check_host import HostCheck
from relay.audit.check_words import (
    agreement_words,
    broken_session,
    link_words,
    not_tried_words,
    summary,
    trouble,
    validity_words,
    verdict_mark,
    verdict_meaning,
    version_words,
)
from relay.audit.record_words import seen_words
from relay.cli.check_view import checked_at, trust_words
from relay.core.fault_cards import card
from relay.formats.report import Cell, Mark, Report, ReportRow, Section
from relay.tls.probing_chain import Validity


def report_of(checks: Sequence[Check]) -> Report:
    """Return all targets' checks as one report: for each its verdicts, then its hosts."""
    marks = Counter(_mark(check) for check in checks)
    worst = next((mark for mark in (Mark.BAD, Mark.UNKNOWN) if marks[mark]), Mark.GOOD)
    trust = {trust_words(check.trust) for check in checks}
    return Report(
        title="What mail servers offer",
        summary=". ".join(summary(check)[0] for check in checks) + ".",
        mark=worst,
        facts=(
            ("Checked", checked_at(checks[0])),
            ("By", f"relaylab {__version__}"),
            ("Trusted", "; ".join(sorted(trust))),
            ("Code book", checks[0].book),
        ),
        sections=tuple(section for check in checks for section in _sections(check)),
        notes=(not_tried_words(), "Nothing was mailed: every session ended with QUIT."),
    )


def _mark(check: Check) -> Mark:
    if check.failed:
        return Mark.BAD
    return Mark.GOOD if check.determined else Mark.UNKNOWN


def _sections(check: Check) -> Iterator[Section]:
    yield Section(
        title=check.target,
        columns=("Setting", "Verdict", "What the sender sees"),
        rows=tuple(_verdict_rows(check)),
    )
    for host in check.hosts:
        if host.reached:
            yield Section(
                title=f"{check.target}: {host.hop}",
                columns=("What", "Found"),
                rows=tuple(_host_rows(host)),
            )


def _verdict_rows(check: Check) -> Iterator[ReportRow]:
    expected = {each.expectation.setting: each for each in check.expected}
    why = " ".join(trouble(check))
    for verdict in check.verdicts:
        mark, because = verdict_mark(verdict), verdict_meaning(verdict)
        each = expected.get(verdict.setting)
        if each is not None and each.met is not None:
            mark = Mark.GOOD if each.met else Mark.BAD
            because = f"{verdict.word}, expected {each.expectation.wanted}: {because}"
        if mark is Mark.UNKNOWN:
            because = why or because
        yield ReportRow(
            name=verdict.setting.label,
            mark=mark,
            cells=(Cell(text=verdict.word, mark=mark), Cell(text=verdict_meaning(verdict))),
            because=because,
            evidence=tuple(
                f"{fault.kind.value}: {fault.detail}"
                for host in check.hosts
                for fault in host.faults
            ),
        )


def _host_rows(host: HostCheck) -> Iterator[ReportRow]:
    if (broken := broken_session(host)) is not None:
        yield _row("Broken off", broken, Mark.WARNING)
    if host.record.evidence is not None:
        yield _row("Seen", seen_words(host.record.evidence))
    if (agreement := agreement_words(host)) is not None:
        yield _row("OpenSSL", agreement)
    for result in host.versions:
        word, detail = version_words(result)
        suites = ""
        if result.suites is not None:
            suites = f"; of {result.suites.of} suites: {', '.join(result.suites.names)}"
        yield _row(f"TLS {result.version.value}", f"{word}: {detail}{suites}")
    for link in host.chain.links if host.chain else ():
        assert host.chain is not None
        words, broken_link = link_words(link, host.chain)
        bad = broken_link or link.validity is not Validity.VALID
        parts = (
            link.subject,
            f"names {', '.join(link.names)}" if link.names else "",
            validity_words(link, host.record.at),
            f"key {link.key}, signed with {link.signature}",
            words,
        )
        text = "; ".join(part for part in parts if part)
        yield _row(f"Certificate {link.number}", text, Mark.WARNING if bad else Mark.PLAIN)
    for fault in host.faults:
        text = f"{fault.kind.value}: {fault.detail}. {card(fault).remedy}"
        yield _row("Fault", text, Mark.WARNING)
    for advisory in host.advisories:
        yield _row("Note", f"{advisory.kind.value}: {advisory.detail}")
    if host.nearest and host.faults:
        yield _row("Fails alike", f"relay lab show {host.nearest[0]}")
    for stage in host.stages:
        ended = "" if stage.done else ", FAILED"
        yield _row(f"Stage {stage.stage.value}", f"{stage.seconds:.3f} s{ended}")


def _row(name: str, text: str, mark: Mark = Mark.PLAIN) -> ReportRow:
    return ReportRow(name=name, mark=mark, cells=(Cell(text=text, mark=mark),))
