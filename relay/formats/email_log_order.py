"""The e-mail log of many messages in the order of time, without holding them all."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from relay.formats.email_log import LogRow, WholeWay, rows

SLACK: Final = timedelta(seconds=10)
"""By how much a message may have been kept later than one that was received after it."""


def in_order(
    records: Iterable[WholeWay], *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[LogRow]:
    """Yield the rows of messages that come oldest first, by time.

    Only rows at or after `since` and before `until`. Held are the rows still ahead of the message
    at hand: those of messages that were being retried while it came.
    """
    ahead: list[tuple[datetime, int, LogRow]] = []
    number = 0
    for record in records:
        received = record.envelope.received_at
        if until is not None and received - SLACK >= until:
            break
        while ahead and ahead[0][0] < received - SLACK:
            yield heapq.heappop(ahead)[2]
        for row in rows(record):
            if (since is None or row.at >= since) and (until is None or row.at < until):
                number += 1
                heapq.heappush(ahead, (row.at, number, row))
    while ahead:
        yield heapq.heappop(ahead)[2]
