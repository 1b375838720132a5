"""Server-sent events: what the relay does, as it happens, and again from any earlier position.

Each client reads the journal at its own pace, so nothing waits for it; who is too far behind is
told `resync` and goes on from now. Sources: HTML Living Standard, "Server-sent events".
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from enum import Enum, unique
from typing import Annotated, Final, assert_never

from fastapi import APIRouter, Header, Query
from fastapi.responses import Response, StreamingResponse
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event

from relay.core.jsonform import to_json
from relay.core.records import Attempt, Bounce, Envelope
from relay.journal.browsing import Event, Position
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, answer
from relay.web.served import ServedRelay

EVENT_STREAM: Final = "text/event-stream"
BEHIND: Final = 5000
"""Events that are sent again; who missed more has to read the lists anew."""
PING_SECONDS: Final = 15.0
_RETRY_MILLISECONDS: Final = 2000
_PAGE: Final = 100


@unique
class EventKind(Enum):
    """What an event tells; its data is the record in its one JSON form."""

    ACCEPTED = "accepted"
    """A message was taken: an `Envelope`."""
    ATTEMPTED = "attempted"
    """A try ended: an `Attempt`."""
    BOUNCED = "bounced"
    """A failure or delay was recorded: a `Bounce`."""
    NOTICE = "notice"
    """People were told, where the relay was started to tell them; never sent again."""
    RESYNC = "resync"
    """Events are left out here; their number is `missed`."""


def kind_of(record: Envelope | Attempt | Bounce) -> EventKind:
    """Return what a record is the event of."""
    match record:
        case Envelope():
            return EventKind.ACCEPTED
        case Attempt():
            return EventKind.ATTEMPTED
        case Bounce():
            return EventKind.BOUNCED
        case _:
            assert_never(record)


def event_router(served: ServedRelay) -> APIRouter:
    """Return the route `/events`."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/events",
        response_class=StreamingResponse,
        responses={
            200: answer("A stream without end.", {EVENT_STREAM: {"type": "string"}}),
            503: PROBLEM,
        },
    )
    async def events(
        last_event_id: Annotated[
            str, Header(max_length=100, description="The id of the last event that was got.")
        ] = "",
        after: Annotated[
            str, Query(max_length=100, description="The same, for who can't set headers.")
        ] = "",
        kind: Annotated[
            list[EventKind] | None, Query(max_length=10, description="Only these; `resync` always.")
        ] = None,
    ) -> Response:
        """Stream what is accepted, attempted, bounced and noticed, from now or from an event on."""
        if served.live.full:
            raise too_many()
        wanted = frozenset(kind or EventKind) | {EventKind.RESYNC}
        stream = _Stream(served, wanted)
        return StreamingResponse(stream.run(last_event_id or after), media_type=EVENT_STREAM)

    return router


def too_many() -> ProblemError:
    """Return the refusal of one more who would wait."""
    return ProblemError(
        Problem(
            kind=ProblemKind.TOO_MANY_WAITING,
            detail="Too many clients wait for events or outcomes already.",
            next="Close others, or try again later.",
        )
    )


class _Stream:
    """One client's stream."""

    def __init__(self, served: ServedRelay, wanted: frozenset[EventKind]) -> None:
        self._journal = served.journal
        self._live = served.live
        self._wanted = wanted
        self._position = Position()
        self._notified = served.live.notified

    async def run(self, after: str) -> AsyncIterator[bytes]:
        with self._live.reader() as admitted:
            if not admitted:
                return
            yield await self._begin(after)
            while not self._live.closed:
                changed = self._live.changed
                if missed := await self._missed():
                    yield missed
                found = await asyncio.to_thread(self._journal.events, self._position, _PAGE)
                for octets in self._told(found):
                    yield octets
                if found:
                    continue
                try:
                    async with asyncio.timeout(PING_SECONDS):
                        await changed.wait()
                except TimeoutError:
                    yield KEEPALIVE_COMMENT

    async def _begin(self, after: str) -> bytes:
        """Return what sets a client's own idea of where it is, before there is an event."""
        try:
            self._position = Position.parse(after)
        except ValueError:
            self._position = await asyncio.to_thread(self._journal.position)
            if after:
                return self._resync(0)
        return format_sse_event(id=str(self._position), retry=_RETRY_MILLISECONDS)

    async def _missed(self) -> bytes | None:
        now = await asyncio.to_thread(self._journal.position)
        steps = [
            now.messages - self._position.messages,
            now.attempts - self._position.attempts,
            now.bounces - self._position.bounces,
        ]
        # A position ahead of the journal is one of another journal.
        if sum(steps) <= BEHIND and min(steps) >= 0:
            return None
        self._position = now
        return self._resync(max(sum(steps), 0))

    def _resync(self, missed: int) -> bytes:
        return format_sse_event(
            event=EventKind.RESYNC.value,
            data_str=json.dumps({"missed": missed}),
            id=str(self._position),
            retry=_RETRY_MILLISECONDS,
        )

    def _told(self, found: tuple[Event, ...]) -> Iterator[bytes]:
        for event in found:
            self._position = event.position
            if (kind := kind_of(event.record)) in self._wanted:
                yield format_sse_event(
                    event=kind.value,
                    data_str=json.dumps(to_json(event.record)),
                    id=str(event.position),
                )
        for number, notice in self._live.notices(self._notified):
            self._notified = number
            if EventKind.NOTICE in self._wanted:
                # Without an id: it can't be asked for again.
                yield format_sse_event(
                    event=EventKind.NOTICE.value, data_str=json.dumps(to_json(notice))
                )
