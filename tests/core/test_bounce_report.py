"""The report of what bounced, from hand-made bounces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import record_builders as build

from relay.core.bounce_report import ReportBy, bounce_report
from relay.core.faults import FaultKind, TlsFault
from relay.core.outcomes import Stage
from relay.core.records import Bounce, BounceAction
from relay.core.replies import StatusCode
from relay.core.salesforce_view import FlagReason
from relay.core.settings import TlsSetting

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
FAULT = TlsFault(kind=FaultKind.CERTIFICATE_EXPIRED, detail="x")


def bounce(hour: int, recipient: str, status: str, text: str = "no", **changes: object) -> Bounce:
    return build.bounce(
        **{
            "id": f"b{hour}",
            "recipient": recipient,
            "status": StatusCode.parse(status),
            "text": text,
            "result_type": None,
            "faults": (),
            "setting": TlsSetting.REQUIRED,
            "stage": Stage.RCPT,
            "at": NOON + timedelta(hours=hour),
            **changes,
        }
    )


SUPPRESSED = build.view(
    reason="r", contact_flagged=False, why=FlagReason.FLAGGED_BEFORE, is_bounced=False
)
BOUNCES = (
    bounce(5, "a@one.test", "550 5.1.1", "newest"),
    bounce(1, "A@one.test", "554 5.4.7", faults=(FAULT,), cause_status=StatusCode(451, "4.7.5")),
    bounce(3, "b@one.test", "550 5.1.1"),
    bounce(4, "c@two.test", "451 4.7.5", faults=(FAULT,)),
    bounce(6, "c@two.test", "451 4.7.5", action=BounceAction.DELAYED),
    bounce(7, "c@two.test", "550 5.7.1", salesforce=SUPPRESSED),
)


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (
            ReportBy.CODE,
            [("550 5.1.1", 2, 2, 2), ("451 4.7.5", 1, 0, 1), ("554 5.4.7", 1, 1, 1)],
        ),
        (ReportBy.DOMAIN, [("one.test", 3, 3, 2), ("two.test", 1, 0, 1)]),
        (
            ReportBy.CAUSE,
            [("550 5.1.1 during RCPT TO", 2, 2, 2), ("certificate-expired", 2, 1, 2)],
        ),
        (
            ReportBy.CONTACT,
            [("a@one.test", 2, 2, 1), ("c@two.test", 1, 0, 1), ("b@one.test", 1, 1, 1)],
        ),
    ],
)
def test_the_worst_first(by: ReportBy, expected: list[tuple[str, int, int, int]]) -> None:
    rows = bounce_report(BOUNCES, by, since=None)
    assert [(row.what, row.count, row.hard, row.addresses) for row in rows] == expected


@pytest.mark.parametrize("order", [1, -1])
def test_first_last_and_the_newest_words_in_any_order(order: int) -> None:
    row = bounce_report(BOUNCES[::order], ReportBy.DOMAIN, since=None)[0]
    assert row.first_at == NOON + timedelta(hours=1)
    assert row.last_at == NOON + timedelta(hours=5)
    assert row.latest == "550 5.1.1 newest"


def test_since() -> None:
    rows = bounce_report(BOUNCES, ReportBy.DOMAIN, since=NOON + timedelta(hours=4))
    assert [(row.what, row.count) for row in rows] == [("one.test", 1), ("two.test", 1)]
