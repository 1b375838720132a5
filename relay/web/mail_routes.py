"""The relay's mail over HTTP: lists, each message's way and content, and what may be done to it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Path, Query
from fastapi.responses import Response

from relay.core.jsonform import Json, to_json
from relay.core.settings import Protection
from relay.journal.api import RecipientState, RecipientStatus
from relay.journal.browsing import SqliteBrowser
from relay.journal.searching import ALL, MessageFilter, OutcomeKind
from relay.web.answers import cursor_page, download, json_document
from relay.web.mail_parts import header_fields, part_content, part_summaries, part_text
from relay.web.parameters import Before, Code, DomainName, Id, Limit, MailAddress, Since, Until
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, answer, json_answer
from relay.web.served import ServedRelay

MESSAGE: Final = "message/rfc822"
_OCTETS: Final = {"type": "string", "format": "binary"}
_PLAIN: Final = "text/plain; charset=utf-8"
PartNumber = Annotated[int, Path(ge=1, le=100_000, description="A part's number, from 1 on.")]


def filter_of(
    *,
    recipient: Annotated[
        MailAddress | None, Query(description="With a recipient of this address, in any case.")
    ] = None,
    domain: Annotated[
        DomainName | None, Query(description="With a recipient in this domain.")
    ] = None,
    state: Annotated[
        RecipientState | None, Query(description="With a recipient in this state.")
    ] = None,
    code: Code = None,
    outcome: Annotated[OutcomeKind | None, Query(description="With a try that ended so.")] = None,
    protection: Annotated[
        Protection | None, Query(description="With a delivery that was protected so.")
    ] = None,
    since: Since = None,
    until: Until = None,
    text: Annotated[
        str | None, Query(max_length=500, description="Found in the subject or in an address.")
    ] = None,
) -> MessageFilter:
    """Read the marks that messages are wanted by."""
    return MessageFilter(
        recipient=recipient,
        domain=domain,
        state=state,
        code=code,
        outcome=outcome,
        protection=protection,
        since=since,
        until=until,
        text=text,
    )


Wanted = Annotated[MessageFilter, Depends(filter_of)]


def mail_router(served: ServedRelay) -> APIRouter:
    """Return the routes below `/mail`."""
    router = APIRouter(prefix="/mail", tags=["mail"])
    _add_records(router, served)
    _add_content(router, served.journal)
    _add_writes(router, served)
    return router


def _add_records(router: APIRouter, served: ServedRelay) -> None:
    journal = served.journal

    @router.get("", responses={200: json_answer("The newest first.", "Messages")})
    async def messages(wanted: Wanted, limit: Limit = 50, before: Before = None) -> Response:
        """List messages that every given mark applies to, with where each recipient stands."""

        def page() -> Json:
            found = journal.find_messages(limit, wanted, before=before)
            return cursor_page(found, limit, last=found[-1].envelope.id if found else None)

        return await json_document(page)

    @router.get("/{id}", responses={200: json_answer("All that is known of it.", "MessageRecord")})
    async def message(id: Id) -> Response:  # noqa: A002 - the path's own word
        """Show a message's way: envelope, recipients, attempts, sessions, bounces.

        Each attempt has the rule that held, with its place in the policy, and the verdict; each
        session the evidence, all faults and advisories, and the dialog.
        """
        return await json_document(lambda: to_json(journal.message(id)))


def _add_content(router: APIRouter, journal: SqliteBrowser) -> None:
    @router.get(
        "/{id}/raw",
        response_class=Response,
        responses={200: answer("The message, octet for octet.", {MESSAGE: _OCTETS})},
    )
    async def raw(id: Id) -> Response:  # noqa: A002
        """Return a message as it was received, to keep."""
        return download(await _content(journal, id), MESSAGE, "message.eml")

    @router.get("/{id}/headers", responses={200: json_answer("In their order.", "HeaderFields")})
    async def headers(id: Id) -> Response:  # noqa: A002
        """List a message's header fields."""
        return await json_document(lambda: to_json(header_fields(journal.content(id))))

    @router.get("/{id}/parts", responses={200: json_answer("In their order.", "PartSummaries")})
    async def parts(id: Id) -> Response:  # noqa: A002
        """List a message's MIME parts."""
        return await json_document(lambda: to_json(part_summaries(journal.content(id))))

    @router.get(
        "/{id}/parts/{number}",
        response_class=Response,
        responses={
            200: answer("The part, decoded.", {"application/octet-stream": _OCTETS}),
            404: PROBLEM,
        },
    )
    async def part(id: Id, number: PartNumber) -> Response:  # noqa: A002
        """Return a part's decoded octets, to keep, whatever its type."""
        found = await asyncio.to_thread(lambda: part_content(journal.content(id), number))
        if found is None:
            raise _no_such_part()
        return download(found[1], "application/octet-stream", f"part-{number}.bin")

    @router.get(
        "/{id}/parts/{number}/text",
        response_class=Response,
        responses={
            200: answer("The part as text.", {"text/plain": {"type": "string"}}),
            404: PROBLEM,
        },
    )
    async def text_of_part(id: Id, number: PartNumber) -> Response:  # noqa: A002
        """Return a part as plain text, HTML as its source."""
        found = await asyncio.to_thread(lambda: part_text(journal.content(id), number))
        if found is None:
            raise _no_such_part()
        return Response(found.encode("utf-8", "replace"), media_type=_PLAIN)


def _add_writes(router: APIRouter, served: ServedRelay) -> None:
    journal, steering = served.journal, served.relay.steering

    @router.post("/{id}/retry", responses={200: json_answer("Who is tried now.", "Retried")})
    async def retry(id: Id) -> Response:  # noqa: A002
        """Try a message's queued recipients now; the try counts among those of the schedule."""
        done = await steering.retry(id)
        return await json_document(lambda: to_json(done))

    @router.delete("", responses={200: json_answer("What was deleted.", "Deleted")})
    async def delete_messages(wanted: Wanted) -> Response:
        """Delete messages that every given mark applies to, all of them without one.

        Their attempts, bounces and outbound sessions go with them, and so do the flags that those
        bounces put on contacts. Without a mark, all sessions go. Recipients that were still queued
        get nothing any more: `undelivered` names them. What is being sent just now stays.
        """
        done = await steering.delete(
            lambda: journal.find_recipients(wanted), unused_sessions=wanted == ALL
        )
        return await json_document(lambda: to_json(done))

    @router.delete("/{id}", responses={200: json_answer("What was deleted.", "Deleted")})
    async def delete_message(id: Id) -> Response:  # noqa: A002
        """Delete one message, as `DELETE /mail` does."""

        def one() -> Mapping[str, tuple[RecipientStatus, ...]]:
            record = journal.message(id)
            return {record.envelope.id: record.recipients}

        done = await steering.delete(one)
        return await json_document(lambda: to_json(done))


async def _content(journal: SqliteBrowser, message_id: str) -> bytes:
    return await asyncio.to_thread(journal.content, message_id)


def _no_such_part() -> ProblemError:
    return ProblemError(
        Problem(
            kind=ProblemKind.UNKNOWN_RECORD,
            detail="The message has no part of this number.",
            next="The message's `parts` lists them.",
        )
    )
