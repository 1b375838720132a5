"""Report-only, summed up: what enforcement would have refused of the mail that was sent meanwhile.

Nothing is judged anew: each attempt has what the tested policy would have made of it.

    some host would have let it through ...... through
    all hosts were asked, all would refuse ... refused
    a host was not asked, or not known ....... unknown
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from relay.core.addresses import Domain, parse_address
from relay.core.records import Attempt
from relay.core.rejudging import NotObserved
from relay.core.settings import TlsSetting
from relay.core.verdicts import Deliver, RetryInClear
from relay.formats.report import Cell, Mark, Report, ReportRow, Section
from relay.journal.api import MessageRecord


@dataclass(slots=True, kw_only=True)
class DomainTally:
    """One domain's mail under a tested setting, in messages; `codes` are those of refusals."""

    domain: Domain
    setting: TlsSetting
    messages: int = 0
    through: int = 0
    refused: int = 0
    unknown: int = 0
    codes: Counter[str] = field(default_factory=Counter)
    text: str = ""
    first: datetime | None = None
    last: datetime | None = None

    def count(self, attempts: Iterable[Attempt]) -> None:
        """Count one message by its attempts at this domain."""
        tested = [a for a in attempts if a.tested is not None and a.tested.setting is self.setting]
        self.messages += 1
        self.first = self.first or tested[0].started_at
        self.last = tested[-1].ended_at
        verdicts = [a.tested.verdict for a in tested if a.tested is not None]
        if any(isinstance(verdict, Deliver | RetryInClear) for verdict in verdicts):
            self.through += 1
            return
        asked, there = {a.hop for a in tested}, set(tested[-1].hosts)
        if any(isinstance(verdict, NotObserved) for verdict in verdicts) or not asked >= there:
            self.unknown += 1
            return
        self.refused += 1
        last = tested[-1].tested
        assert last is not None, "only such were taken"
        self.codes[str(last.code)] += 1
        self.text = last.text


class ReportOnly:
    """Sums up messages on record."""

    def __init__(self) -> None:
        self._found: dict[tuple[Domain, TlsSetting], DomainTally] = {}

    def add(self, record: MessageRecord) -> None:
        """Count a message, where any of its attempts was under a tested setting."""
        groups: dict[tuple[Domain, TlsSetting], list[Attempt]] = {}
        for attempt in record.attempts:
            if attempt.tested is not None:
                domain = parse_address(attempt.outcomes[0].recipient).domain
                groups.setdefault((domain, attempt.tested.setting), []).append(attempt)
        for (domain, setting), attempts in groups.items():
            found = self._found.setdefault(
                (domain, setting), DomainTally(domain=domain, setting=setting)
            )
            found.count(attempts)

    def domains(self) -> tuple[DomainTally, ...]:
        """Return what was counted, worst first."""
        return tuple(
            sorted(
                self._found.values(),
                key=lambda d: (-d.refused, -d.unknown, -d.messages, d.domain, d.setting.value),
            )
        )


def report_only_report(
    found: tuple[DomainTally, ...], *, facts: Iterable[tuple[str, str]] = ()
) -> Report:
    """Return the report of what enforcement would have refused."""
    refused = sum(each.refused for each in found)
    messages = sum(each.messages for each in found)
    domains, hit = {each.domain for each in found}, {e.domain for e in found if e.refused}
    unknown = sum(each.unknown for each in found)
    plural = "" if len(domains) == 1 else "s"
    mark = Mark.BAD if refused else Mark.UNKNOWN if unknown or not found else Mark.GOOD
    summary = (
        f"{refused or 'None'} of {messages} message{'' if messages == 1 else 's'} "
        "sent under a tested setting would have been refused"
        + (f", to {len(hit)} of {len(domains)} domain{plural}" if refused else "")
        + (f"; of {unknown} that is not known" if unknown else "")
        + "."
    )
    if not found:
        summary = "No message was sent under a setting that is only tested (mode: testing)."
    section = Section(
        title="What enforcement would have done",
        columns=("domain", "setting", "messages", "refused", "unknown", "code"),
        rows=tuple(_row(each) for each in found),
    )
    return Report(
        title="Tested, not enforced",
        summary=summary,
        mark=mark,
        facts=tuple(facts),
        sections=(section,) if found else (),
    )


def _gmt(at: datetime | None) -> str:
    assert at is not None, "whatever was counted has its time"
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _row(each: DomainTally) -> ReportRow:
    mark = Mark.BAD if each.refused else Mark.UNKNOWN if each.unknown else Mark.GOOD
    because = ""
    if each.refused:
        because = f"would have been refused with {', '.join(each.codes)} {each.text}"
    elif each.unknown:
        because = "another host of the domain was not asked, so that its answer is not on record"
    return ReportRow(
        name=each.domain,
        mark=mark,
        cells=(
            Cell(text=each.setting.label),
            Cell(text=str(each.messages)),
            Cell(text=str(each.refused), mark=mark if each.refused else Mark.PLAIN),
            Cell(text=str(each.unknown)),
            Cell(text=", ".join(each.codes)),
        ),
        because=because,
        evidence=(f"first {_gmt(each.first)}, last {_gmt(each.last)}",),
    )
