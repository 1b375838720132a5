"""What would change under another policy: every destination on record, now and then, worst first.

Nothing is sent. What the record does not say is unknown, with what it would take to know it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Final

from relay.audit.forecast import Dropped, Forecast, Passes, Refused, Unknown, forecast
from relay.audit.on_record import Records
from relay.core.addresses import Domain
from relay.core.delivery import Policy
from relay.core.settings import Protection
from relay.tls.trust import TrustStores


@unique
class Change(Enum):
    """What a change of policy does to one destination; the order is that of reports."""

    NEW_BOUNCE = "new-bounce"
    """Delivered now, refused then."""
    NEWLY_DROPPED = "newly-dropped"
    """Delivered or refused now; then nobody is asked and nobody is told."""
    UNKNOWN = "unknown"
    """The record does not say what would happen then."""
    LESS_PROTECTED = "less-protected"
    """Delivered then as now, but on the wire less protects it."""
    STILL_REFUSED = "still-refused"
    """Not delivered now, and refused then, for whatever reason."""
    DELIVERED_AGAIN = "delivered-again"
    """Refused or dropped now, let through then."""
    BETTER_PROTECTED = "better-protected"
    """Delivered then as now, and better protected."""
    SAME = "same"
    """Delivered then as now, protected as now; or dropped as now."""
    NEWLY_KNOWN = "newly-known"
    """Unknown now, let through then."""


_WORST_FIRST: Final = {change: rank for rank, change in enumerate(Change)}
_STRENGTH: Final = {protection: rank for rank, protection in enumerate(Protection)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A destination to tell about: a domain, or one recipient in it; `messages` are on record.

    `sender` is the domain of the reverse path, where a policy's domain filters look at it.
    """

    domain: Domain
    recipient: str | None = None
    sender: Domain | None = None
    messages: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One destination: what becomes of its mail now, what then, and what that amounts to."""

    asked: Asked
    now: Forecast
    then: Forecast
    change: Change


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyName:
    """Which policy file was meant, and its very bytes."""

    source: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """The whole answer; `rows` are worst first, `counts` has every kind of change, of domains.

    A domain counts as what is the worst of its rows.
    """

    now: PolicyName
    then: PolicyName
    rows: tuple[Row, ...]
    counts: Mapping[Change, int]


def compare(
    *,
    now: Policy,
    then: Policy,
    asked: Iterable[Asked],
    known: Records,
    stores: TrustStores,
    at: datetime | None = None,
) -> WhatIf:
    """Tell for each destination what `now` and `then` make of its mail.

    `at` is when it would be sent, None for the time of each record. Raises TrustError where a file
    that a policy trusts can't be used.
    """

    def told(policy: Policy, each: Asked) -> Forecast:
        return forecast(
            known,
            policy,
            domain=each.domain,
            sender=each.sender,
            recipient=each.recipient,
            stores=stores,
            at=at,
        )

    rows: list[Row] = []
    for each in asked:
        before, after = told(now, each), told(then, each)
        rows.append(Row(asked=each, now=before, then=after, change=change_of(before, after)))
    in_order = _in_order(rows)
    worst = {row.asked.domain: row.change for row in reversed(in_order)}
    return WhatIf(
        now=PolicyName(source=now.source, sha256=now.sha256),
        then=PolicyName(source=then.source, sha256=then.sha256),
        rows=in_order,
        counts={**dict.fromkeys(Change, 0), **Counter(worst.values())},
    )


def change_of(now: Forecast, then: Forecast) -> Change:
    """Say what going from `now` to `then` amounts to."""
    match now, then:
        case _, Unknown():
            return Change.UNKNOWN
        case Dropped(), Dropped():
            return Change.SAME
        case _, Dropped():
            return Change.NEWLY_DROPPED
        case Refused() | Dropped(), Refused():
            return Change.STILL_REFUSED
        case _, Refused():
            return Change.NEW_BOUNCE
        case Refused() | Dropped(), Passes():
            return Change.DELIVERED_AGAIN
        case Unknown(), Passes():
            return Change.NEWLY_KNOWN
        case Passes(protection=before), Passes(protection=after):
            if before is after:
                return Change.SAME
            weaker = _STRENGTH[after] < _STRENGTH[before]
            return Change.LESS_PROTECTED if weaker else Change.BETTER_PROTECTED
        case _:
            raise AssertionError("a forecast of no known kind")


def _in_order(rows: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(
        sorted(
            rows,
            key=lambda row: (
                _WORST_FIRST[row.change],
                -row.asked.messages,
                row.asked.domain,
                row.asked.recipient or "",
            ),
        )
    )
