"""Report-only summed up by message: through, refused, or unknown where a host was not asked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import record_builders as build

from relay.audit.report_only import ReportOnly, report_only_report
from relay.core.faults import FaultKind, TlsFault
from relay.core.records import WouldBe
from relay.core.rejudging import NotObserved, Unseen
from relay.core.replies import StatusCode
from relay.core.routing import Hop
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate
from relay.formats.report import Mark
from relay.journal.api import MessageRecord

AT = datetime(2026, 3, 4, tzinfo=UTC)
ONE, TWO = (Hop(host=f"mx{n}.bank.test", address="127.0.0.1", port=n) for n in (1, 2))
FAULT = TlsFault(kind=FaultKind.STARTTLS_NOT_OFFERED, detail="no keyword")
REFUSED = WouldBe(
    setting=TlsSetting.REQUIRED,
    verdict=Terminate(faults=(FAULT,)),
    code=StatusCode(451, "4.7.6"),
    text="no TLS",
)
THROUGH = WouldBe(setting=TlsSetting.REQUIRED, verdict=Deliver(protection=Protection.ENCRYPTED))
IN_CLEAR = WouldBe(setting=TlsSetting.PREFERRED_VERIFY, verdict=RetryInClear(faults=(FAULT,)))
UNKNOWN = WouldBe(setting=TlsSetting.REQUIRED, verdict=NotObserved(what=Unseen.HANDSHAKE))


def message(*tried: tuple[Hop, WouldBe | None], hosts: tuple[Hop, ...] = (ONE,)) -> MessageRecord:
    attempts = tuple(
        build.attempt(
            hop=hop,
            rule=build.rule(TlsSetting.PREFERRED),
            verdict=Deliver(protection=Protection.CLEAR),
            outcome=build.OK,
            at=AT + timedelta(minutes=number),
            hosts=hosts,
            tested=tested,
        )
        for number, (hop, tested) in enumerate(tried)
    )
    return MessageRecord(
        envelope=build.envelope(), recipients=(), attempts=attempts, sessions=(), bounces=()
    )


@pytest.mark.parametrize(
    ("record", "counted"),
    [
        (message((ONE, THROUGH)), (1, 0, 0)),
        (message((ONE, REFUSED)), (0, 1, 0)),
        (message((ONE, UNKNOWN)), (0, 0, 1)),
        (message((ONE, IN_CLEAR)), (1, 0, 0)),
        (message((ONE, REFUSED), hosts=(ONE, TWO)), (0, 0, 1)),
        (message((ONE, REFUSED), (TWO, REFUSED), hosts=(ONE, TWO)), (0, 1, 0)),
        (message((ONE, REFUSED), (TWO, THROUGH), hosts=(ONE, TWO)), (1, 0, 0)),
        (message((ONE, REFUSED), (ONE, None)), (0, 1, 0)),
    ],
)
def test_a_message_is_counted_once(record: MessageRecord, counted: tuple[int, int, int]) -> None:
    tallies = ReportOnly()
    tallies.add(record)
    (only,) = tallies.domains()
    assert (only.through, only.refused, only.unknown) == counted
    assert only.messages == 1


def test_what_was_enforced_is_not_counted() -> None:
    tallies = ReportOnly()
    tallies.add(message((ONE, None)))
    assert tallies.domains() == ()
    assert report_only_report(tallies.domains()).mark is Mark.UNKNOWN


def test_the_report_has_codes_and_settings_apart() -> None:
    tallies = ReportOnly()
    for record in (message((ONE, IN_CLEAR)), message((ONE, REFUSED)), message((ONE, REFUSED))):
        tallies.add(record)
    first, second = tallies.domains()
    assert (first.setting, first.codes) == (TlsSetting.REQUIRED, {"451 4.7.6": 2})
    assert (second.setting, second.through) == (TlsSetting.PREFERRED_VERIFY, 1)
    report = report_only_report(tallies.domains())
    assert report.summary == (
        "2 of 3 messages sent under a tested setting would have been refused, to 1 of 1 domain."
    )
    assert [row.mark for row in report.rows] == [Mark.BAD, Mark.GOOD]
