"""What-if over HTTP: a posted policy judged on the record, destination by destination."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from relay.audit.asking import Asking, By, looks_at_senders
from relay.audit.on_record import Gathering, Records, newest
from relay.audit.what_if import WhatIf, compare
from relay.audit.what_if_report import summary
from relay.core.delivery import Policy
from relay.core.jsonform import Json, to_json
from relay.journal.api import MessageRecord
from relay.tls.trust import TrustError
from relay.web.answers import json_document
from relay.web.evidence_query import trust_stores
from relay.web.parameters import Since
from relay.web.policy_routes import POLICY_BODY, posted
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, json_answer
from relay.web.served import ServedRelay

_PAGE: Final = 200
"""Messages read at a time."""


def what_if(
    served: ServedRelay,
    then: Policy,
    *,
    by: By,
    since: datetime | None,
    newest_messages: int | None = None,
) -> WhatIf:
    """Compare the policy in force with another one, on all that is on record; sends nothing.

    With `newest_messages`, on about that many of the newest messages. Raises TrustError where a
    file that a policy trusts can't be used.
    """
    now = served.relay.policy
    asking = Asking(by=by, by_sender=looks_at_senders((now, then)))
    gathering = Gathering()
    for record in _records(served, newest_messages):
        if since is None or record.envelope.received_at >= since:
            asking.add_message(record)
        for attempt in record.attempts:
            gathering.add(attempt)
    known = Records()
    for found in sorted(gathering.records(served.session_of), key=newest, reverse=True):
        known.add_older(found)
    return compare(
        now=now,
        then=then,
        asked=asking,
        known=known,
        stores=trust_stores(served),
        at=datetime.now(UTC),
    )


def _records(served: ServedRelay, newest_messages: int | None) -> Iterator[MessageRecord]:
    """Yield messages without sessions, the oldest first, or the newest first as far as wanted."""
    journal, last, read = served.journal, None, 0
    while newest_messages is None or read < newest_messages:
        if newest_messages is None:
            page = journal.records(_PAGE, after=last, sessions=False)
        else:
            page = journal.find_records(_PAGE, before=last)
        if not page:
            return
        yield from page
        last, read = page[-1].envelope.id, read + len(page)


def what_if_router(served: ServedRelay) -> APIRouter:
    """Return the route `/what-if`."""
    router = APIRouter(tags=["policy"])

    @router.post(
        "/what-if",
        responses={200: json_answer("Worst first.", "WhatIfAnswer"), 422: PROBLEM},
        openapi_extra=POLICY_BODY,
    )
    async def what_if_posted(
        request: Request,
        by: Annotated[By, Query(description="What a row is.")] = By.DOMAIN,
        since: Since = None,
    ) -> Response:
        """Say what would become of mail under the policy in the body; nothing is sent."""
        octets = await request.body()

        def result() -> Json:
            then = posted(served, octets)
            try:
                found = what_if(served, then, by=by, since=since)
            except TrustError:
                found = None
            if found is None:
                raise ProblemError(
                    Problem(
                        kind=ProblemKind.BAD_POLICY,
                        detail="A file that one of the policies trusts can't be used.",
                        next="See that each is a PEM file that the relay may read.",
                    )
                )
            form = to_json(found)
            assert isinstance(form, dict)
            return {"summary": summary(found), **form}

        return await json_document(result)

    return router
