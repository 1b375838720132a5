"""Waiting on the server until something happened to a message, or did not.

What a test would poll for: the answer comes as soon as the journal has it.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from relay.core.jsonform import Json, to_json
from relay.engine.outcome_wait import Awaited, Happened, Wish
from relay.journal.browsing import Position
from relay.web.answers import json_document
from relay.web.event_routes import too_many
from relay.web.parameters import Code, DomainName, MailAddress, Since, Span
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, json_answer
from relay.web.served import ServedRelay

LONGEST: Final = timedelta(minutes=5)
_PAGE: Final = 500


async def first(
    served: ServedRelay, wish: Wish, after: Position, within: timedelta
) -> Happened | None:
    """Return the first thing behind a position that meets the wish, None when time is up.

    None as well when the port closes meanwhile.
    """
    live = served.live
    events = partial(served.journal.events, message=wish.message_id, domain=wish.one_domain)
    end = asyncio.get_running_loop().time() + within.total_seconds()
    while True:
        changed = live.changed
        while found := await asyncio.to_thread(events, after, _PAGE):
            after = found[-1].position
            for event in found:
                if (happened := wish.met_by(event.record)) is not None:
                    return happened
        if live.closed:
            return None
        try:
            async with asyncio.timeout_at(end):
                await changed.wait()
        except TimeoutError:
            return None


def wait_router(served: ServedRelay) -> APIRouter:
    """Return the route `/wait`."""
    router = APIRouter(tags=["events"])

    @router.get(
        "/wait",
        responses={
            200: json_answer("It happened; for `none`, nothing did.", "Waited"),
            408: PROBLEM,
            409: PROBLEM,
            503: PROBLEM,
        },
    )
    async def wait(
        *,
        outcome: Annotated[Awaited, Query(description="What to wait for.")],
        recipient: Annotated[MailAddress | None, Query(description="To this address.")] = None,
        domain: Annotated[DomainName | None, Query(description="To this domain.")] = None,
        message: Annotated[
            str | None, Query(max_length=64, description="Of this message: its id.")
        ] = None,
        code: Code = None,
        since: Since = None,
        timeout: Annotated[  # noqa: ASYNC109 - a part of what is asked for, not a guard
            Span, Query(description="How long to wait: `10s`, `500ms`; 5 minutes at most.")
        ] = timedelta(seconds=10),
    ) -> Response:
        """Wait until a message is delivered, deferred, bounced, or refused for its TLS.

        What is on record already counts from `since` on, and without it nothing does. With `none`
        the answer comes when time is up and nothing has happened; else there is a problem at once.
        """
        wish = Wish(
            awaited=outcome,
            book=lambda: served.relay.policy.codes,
            recipient=recipient,
            domain=domain,
            message_id=await _whole_id(served, message),
            code=code,
        )
        # Before it counts as waiting: whoever sees that may make what is waited for happen.
        begin = await asyncio.to_thread(served.journal.position, since)
        with served.live.reader() as admitted:
            if not admitted:
                raise too_many()
            happened = await first(served, wish, begin, min(timeout, LONGEST))
        answered = _answer(outcome, happened)
        return await json_document(lambda: answered)

    return router


async def _whole_id(served: ServedRelay, message: str | None) -> str | None:
    """Return a message's whole id; raise NotFound."""
    if message is None:
        return None
    return (await asyncio.to_thread(served.journal.message, message)).envelope.id


def _answer(awaited: Awaited, happened: Happened | None) -> Json:
    if awaited is Awaited.NONE and happened is None:
        return {"outcome": Awaited.NONE.value, "happened": None}
    if happened is None:
        raise ProblemError(
            Problem(
                kind=ProblemKind.NOTHING_HAPPENED,
                detail=f"No such record within the time: {awaited.value}.",
                next="Look at GET /api/v1/mail; `since` counts what is on record already.",
            )
        )
    if awaited is Awaited.NONE:
        raise ProblemError(
            Problem(
                kind=ProblemKind.SOMETHING_HAPPENED,
                detail=f"This happened: {happened.outcome.value}.",
                next=f"GET /api/v1/mail/{happened.message_id} tells how.",
                also={"happened": to_json(happened)},
            )
        )
    return {"outcome": happened.outcome.value, "happened": to_json(happened)}
