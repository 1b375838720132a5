"""Reading a Postfix log for what it says of deliveries: to whom, by which host, how it ended.

Lines of its delivery agents have `to=<...>, ... relay=..., dsn=..., status=...` (Postfix
`src/global/log_adhoc.c`, behind whatever syslog puts before them). All others are about something
else, and only counted by whoever reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from relay.core.addresses import parse_address
from relay.core.places import Place
from relay.formats.email_log_reader import SHOWN, LogProblem

_DELIVERY: Final = re.compile(
    r"(?P<program>[a-z]+)\[\d+\]: (?P<queue_id>[0-9A-Za-z]+): "
    r"to=<(?P<to>[^>]*)>,(?P<rest>.*?) status=(?P<status>[a-z]+)(?: \((?P<words>.*)\))?\s*$"
)
_FIELD: Final = re.compile(r" (relay|dsn)=([^,]*),")
_LOCAL_AGENTS: Final = frozenset({"local", "virtual", "pipe", "lmtp"})
"""Delivery agents whose mail stays in the house."""


@unique
class PostfixStatus(Enum):
    """How a delivery ended."""

    SENT = "sent"
    DEFERRED = "deferred"
    BOUNCED = "bounced"
    EXPIRED = "expired"
    UNDELIVERABLE = "undeliverable"
    """Of an address probe, as the next one."""
    DELIVERABLE = "deliverable"

    @property
    def final(self) -> bool:
        """Whether this is the last line about the recipient's message."""
        return self in {PostfixStatus.SENT, PostfixStatus.BOUNCED, PostfixStatus.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class PostfixDelivery:
    """One line about one recipient.

    `relay` is the host, as `name[address]:port`, or `none`; `dsn` the enhanced status code, `words`
    what stands in parentheses. All three are empty where the line doesn't say.
    """

    queue_id: str
    recipient: str
    status: PostfixStatus
    relay: str = ""
    dsn: str = ""
    words: str = ""


def read_postfix_log(
    lines: Iterable[str], *, file: str = "mail log"
) -> Iterator[PostfixDelivery | LogProblem | None]:
    """Yield what each line says of a delivery to another host; it never stops early.

    None for a line about something else. A line about a delivery that can't be understood is a
    problem, with its place.
    """
    for number, line in enumerate(lines, start=1):
        found = _DELIVERY.search(line)
        if found is None or found["program"] in _LOCAL_AGENTS:
            yield None
            continue
        fields = dict(_FIELD.findall(found["rest"]))
        try:
            status = PostfixStatus(found["status"])
        except ValueError:
            known = ", ".join(s.value for s in PostfixStatus)
            column = found.start("status") + 1
            what = f"the status {found['status']!r} is not known"
            yield _problem(Place(file, number, column), what, f"known: {known}")
            continue
        try:
            parse_address(found["to"])
        except ValueError as error:
            hint = "it must be an address, such as a@bank.test"
            yield _problem(Place(file, number, found.start("to") + 1), str(error), hint)
            continue
        yield PostfixDelivery(
            queue_id=found["queue_id"],
            recipient=found["to"],
            status=status,
            relay=fields.get("relay", ""),
            dsn=fields.get("dsn", ""),
            words=found["words"] or "",
        )


def _problem(place: Place, what: str, hint: str) -> LogProblem:
    what = what if len(what) <= SHOWN else f"{what[:SHOWN]}..."
    return LogProblem(place=place, what=what, hint=hint)
