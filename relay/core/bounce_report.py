"""The report of what bounced: failures counted by code, domain, cause or address. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique
from typing import assert_never

from relay.core.addresses import domain_of
from relay.core.contacts import address_key
from relay.core.records import Bounce, BounceAction
from relay.core.salesforce_view import FlagReason


@unique
class ReportBy(Enum):
    """What failures are counted by."""

    CODE = "code"
    DOMAIN = "domain"
    CAUSE = "cause"
    """The first TLS fault; for other failures the cause's own code, and the stage."""
    CONTACT = "contact"
    """The recipient's address, without regard to case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One group: how many failures, how many of them hard (5xx), of how many addresses.

    `latest` is the newest one's code and text.
    """

    what: str
    count: int
    hard: int
    addresses: int
    first_at: datetime
    last_at: datetime
    latest: str


@dataclass(slots=True)
class _Group:
    newest: Bounce
    first_at: datetime
    count: int = 0
    hard: int = 0
    addresses: set[str] = field(default_factory=set)

    def add(self, bounce: Bounce) -> None:
        self.count += 1
        self.hard += bounce.status.permanent
        self.addresses.add(address_key(bounce.recipient))
        self.first_at = min(self.first_at, bounce.at)
        if bounce.at > self.newest.at:
            self.newest = bounce


def bounce_report(
    bounces: Iterable[Bounce], by: ReportBy, *, since: datetime | None
) -> tuple[ReportRow, ...]:
    """Count final failures, the most frequent group first, then the one that was seen last.

    Delays are not counted; each ends in a delivery or in a failure of its own. Nor is what was
    suppressed: nothing was sent, and the bounce that flagged the address is there already.
    """
    groups: dict[str, _Group] = {}
    for bounce in bounces:
        if _counts(bounce) and (since is None or bounce.at >= since):
            key = _key(bounce, by)
            groups.setdefault(key, _Group(bounce, bounce.at)).add(bounce)
    rows = [
        ReportRow(
            what=group.newest.recipient if by is ReportBy.CONTACT else key,
            count=group.count,
            hard=group.hard,
            addresses=len(group.addresses),
            first_at=group.first_at,
            last_at=group.newest.at,
            latest=f"{group.newest.status} {group.newest.text}",
        )
        for key, group in groups.items()
    ]
    return tuple(sorted(rows, key=lambda row: (row.count, row.last_at), reverse=True))


def _counts(bounce: Bounce) -> bool:
    view = bounce.salesforce
    suppressed = view is not None and view.why is FlagReason.FLAGGED_BEFORE
    return bounce.action is BounceAction.FAILED and not suppressed


def _key(bounce: Bounce, by: ReportBy) -> str:
    match by:
        case ReportBy.CODE:
            return str(bounce.status)
        case ReportBy.DOMAIN:
            return domain_of(bounce.recipient) or bounce.recipient
        case ReportBy.CAUSE:
            if bounce.faults:
                return bounce.faults[0].kind.value
            return f"{bounce.cause_status} {bounce.stage.value}"
        case ReportBy.CONTACT:
            return address_key(bounce.recipient)
        case _:
            assert_never(by)
