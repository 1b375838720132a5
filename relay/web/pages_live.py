"""The live page: the newest events, tries by the minute, and how long handshakes take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.audit.record_words import outcome_words
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, Bounce, Envelope
from relay.formats.report import Mark
from relay.journal.browsing import Event, Position
from relay.web.event_routes import EventKind, kind_of
from relay.web.pages_kit import Badge, Pages
from relay.web.served import ServedRelay
from relay.web.tally import Histogram

EVENTS: Final = 60
"""Events on the page, the newest first."""
MINUTES: Final = 30
TRIES: Final = 2000
"""The newest tries, of which those of the last minutes are counted."""
WIDTH: Final = 600
HEIGHT: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A bar of a plot, in the plot's own units; `label` says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    label: str
    bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """Bars side by side; `left` and `right` stand at the ends of the axis, `top` at its height."""

    bars: tuple[Bar, ...]
    left: str
    right: str
    top: str
    summary: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventView:
    """One event in a line.

    `message` is the id of the message that it is about, and `who` leads there.
    """

    at: datetime
    badge: Badge
    message: str
    who: str
    words: str


def live_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the route `/live`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/live")
    async def live(request: Request) -> Response:
        # Counted in the event loop; read here, before a thread does the rest.
        handshakes = handshake_plot(served.live.tally.handshakes)
        open_sessions = served.relay.open_sessions

        def page() -> Response:
            journal = served.journal
            tries = journal.attempts(TRIES)
            return pages.response(
                "live.html",
                here="/live",
                events=_events(served),
                throughput=throughput_plot(tries, datetime.now(UTC)),
                handshakes=handshakes,
                queued=journal.queued(),
                base=request.base_url,
                open_sessions=open_sessions,
                width=WIDTH,
                height=HEIGHT,
            )

        return await pages.answer(page, here="/live")

    return router


def throughput_plot(tries: Sequence[Attempt], now: datetime) -> Plot:
    """Return the tries of the last minutes: two bars a minute, above all and before it the rest."""
    first = now - timedelta(minutes=MINUTES)
    ended: Counter[int] = Counter()
    failed: Counter[int] = Counter()
    for attempt in tries:
        if attempt.ended_at < first:
            continue
        minute = min(int((attempt.ended_at - first).total_seconds() // 60), MINUTES - 1)
        ended[minute] += 1
        failed[minute] += any(not isinstance(o.outcome, Delivered) for o in attempt.outcomes)
    top = max(ended.values(), default=0)
    step = WIDTH / MINUTES
    bars: list[Bar] = []
    for minute in sorted(ended):
        ago = MINUTES - 1 - minute
        words = f"{ago} min ago: {ended[minute]} tries, {failed[minute]} not delivered"
        for count, bad in ((ended[minute], False), (failed[minute], True)):
            if count:
                bars.append(_bar(minute * step, step, count, top, words, bad=bad))
    total, not_delivered = ended.total(), failed.total()
    many = f" (of the newest {TRIES})" if len(tries) == TRIES else ""
    return Plot(
        bars=tuple(bars),
        left=f"{MINUTES} min ago",
        right="now",
        top=f"{top} a minute",
        summary=f"{total} tries in the last {MINUTES} minutes{many}, "
        f"{not_delivered} of them not delivered.",
    )


def handshake_plot(handshakes: Histogram) -> Plot:
    """Return how long handshakes took since the start: a bar for each bound, ascending."""
    counts: list[tuple[str, int]] = []
    before = 0
    lower = "0"
    for bound, so_far in handshakes.cumulated:
        upper = "more" if bound == float("inf") else f"{bound:g} s"
        counts.append((f"over {lower} s" if upper == "more" else f"up to {upper}", so_far - before))
        before, lower = so_far, f"{bound:g}"
    top = max(count for _, count in counts)
    step = WIDTH / len(counts)
    bars = tuple(
        _bar(at * step, step, count, top, f"{words}: {count}")
        for at, (words, count) in enumerate(counts)
        if count
    )
    mean = f", {handshakes.total / before * 1000:.0f} ms on average" if before else ""
    return Plot(
        bars=bars,
        left=counts[0][0],
        right=counts[-1][0],
        top=f"{top}",
        summary=f"{before} TLS handshakes since the start{mean}.",
    )


def _bar(x: float, step: float, count: int, top: int, label: str, *, bad: bool = False) -> Bar:
    height = max(count / top * HEIGHT, 1)
    return Bar(
        x=round(x + 1, 1),
        y=round(HEIGHT - height, 1),
        width=round(step - 2, 1),
        height=round(height, 1),
        label=label,
        bad=bad,
    )


def _events(served: ServedRelay) -> list[EventView]:
    """Return the newest events; those of the last positions, a few more being read than shown."""
    journal = served.journal
    end = journal.position()
    begin = Position(
        messages=max(end.messages - EVENTS, 0),
        attempts=max(end.attempts - EVENTS, 0),
        bounces=max(end.bounces - EVENTS, 0),
    )
    found = [_event(event) for event in journal.events(begin, 3 * EVENTS)]
    return sorted(found, key=lambda view: view.at, reverse=True)[:EVENTS]


def _event(event: Event) -> EventView:
    record = event.record
    kind = kind_of(record)
    match record:
        case Envelope():
            to = ", ".join(record.recipients[:3])
            more = f" and {len(record.recipients) - 3} more" if len(record.recipients) > 3 else ""
            return EventView(
                at=record.received_at,
                badge=_BADGES[kind],
                message=record.id,
                who=f"{to}{more}",
                words=f"from {record.reverse_path or '<>'}",
            )
        case Attempt():
            first = record.outcomes[0]
            good = isinstance(first.outcome, Delivered)
            mark = Mark.GOOD if good else Mark.WARNING
            return EventView(
                at=record.ended_at,
                badge=Badge(text=first.outcome.kind, mark=mark),
                message=record.message_id,
                who=first.recipient,
                words=f"at {record.hop or record.route}: {outcome_words(first.outcome)}",
            )
        case Bounce():
            return EventView(
                at=record.at,
                badge=_BADGES[kind],
                message=record.message_id,
                who=record.recipient,
                words=f"{record.status} {record.text}",
            )


_BADGES: Final = {
    EventKind.ACCEPTED: Badge(text="accepted", mark=Mark.PLAIN),
    EventKind.BOUNCED: Badge(text="bounced", mark=Mark.BAD),
}
