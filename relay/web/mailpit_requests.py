"""What Mailpit's routes read of requests, and how they answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from fastapi import Request
from fastapi.responses import Response

from relay.core.jsonform import Json
from relay.engine.steering import Deleted
from relay.journal.api import JournalReader, MessageSummary, NotFound, RecipientStatus
from relay.web.answers import JSON
from relay.web.mailpit_index import MailIndex
from relay.web.mailpit_search import SearchError, Term, parse_search
from relay.web.problems import Problem, ProblemError, ProblemKind

_T = TypeVar("_T")

LIMIT: Final = 50
"""Messages of a list, where a client names no number."""
MAX_LIMIT: Final = 1000
"""Messages of a list at most."""
_FEW: Final = 50
_PAGE: Final = 500
_MAX_TAG: Final = 100
_NO_TAG: Final = re.compile(r"[^A-Za-z0-9\-_.@ ]+")


def list_answer(index: MailIndex, request: Request, terms: Sequence[Term]) -> Response:
    """Return one page of what matches all terms, with the numbers around it."""
    start = _count(request.query_params.get("start"), 0)
    limit = min(_count(request.query_params.get("limit"), LIMIT), MAX_LIMIT)
    found = index.find(terms, start, limit)
    totals = index.totals()
    return json_answer(
        {
            "total": totals.messages,
            "unread": totals.unread,
            "count": len(found.messages),
            "messages_count": found.matching,
            "messages_unread": found.unread_matching,
            "start": start,
            "tags": [*totals.tags],
            "messages": [*found.messages],
        }
    )


def resolve(index: MailIndex, journal: JournalReader, message_id: str, request: Request) -> str:
    """Return the whole id of the message that a path names; raise NotFound."""
    if message_id == "latest" and "query" in request.query_params:
        ids = index.ids(terms_of(request))
        if not ids:
            raise NotFound("no message matches")
        return ids[0]
    if message_id == "latest":
        page = journal.messages(1)
        if not page:
            raise NotFound("there is no message")
        return page[0].envelope.id
    return journal.message(message_id).envelope.id


def doomed(journal: JournalReader, ids: Sequence[str]) -> dict[str, tuple[RecipientStatus, ...]]:
    """Return the messages to delete with where their recipients stand; unknown ids are left out."""
    wanted = set(ids)
    found: dict[str, tuple[RecipientStatus, ...]] = {}
    if len(wanted) <= _FEW:
        for one in wanted:
            try:
                record = journal.message(one)
            except NotFound:
                continue
            # An id may be told by its beginning; what is deleted must be meant.
            if record.envelope.id == one:
                found[one] = record.recipients
        return found
    before: str | None = None
    while page := _page(journal, before):
        found.update({s.envelope.id: s.recipients for s in page if s.envelope.id in wanted})
        before = page[-1].envelope.id
    return found


def _page(journal: JournalReader, before: str | None) -> tuple[MessageSummary, ...]:
    try:
        return journal.messages(_PAGE, before=before)
    except NotFound:
        # Somebody else deletes just now, and took the message that this page begins behind.
        raise _busy() from None


def _busy() -> ProblemError:
    return _problem(
        ProblemKind.JOURNAL_UNAVAILABLE, "Somebody else deletes just now.", "Try it again."
    )


def terms_of(request: Request) -> tuple[Term, ...]:
    """Return what the request's `query` asks for; ProblemError where there is none."""
    text = request.query_params.get("query", "").strip()
    if not text:
        raise bad("There is no search query.")
    return parse(text, request.query_params.get("tz"))


def parse(text: str, zone: str | None) -> tuple[Term, ...]:
    """Return a search's terms; ProblemError where it can't be understood."""
    try:
        return parse_search(text, zone)
    except SearchError as error:
        # Its sentences are ours and repeat nothing that was sent.
        raise bad(str(error)) from None


async def body_of(request: Request) -> dict[str, Json]:
    """Return the JSON object that was sent, an empty one for no body; ProblemError for others."""
    content = await request.body()
    if not content.strip():
        return {}
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        raise bad("The body is no JSON.") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad("The body must be a JSON object.")
    return found


def texts(body: dict[str, Json], key: str) -> list[str]:
    """Return a list of texts from a body, an empty one where there is none; ProblemError."""
    found = body.get(key)
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
        raise bad(f"{key} must be a list of texts.")
    return [item for item in found if isinstance(item, str)]


def tag_of(text: str) -> str:
    """Return a tag as Mailpit keeps it, empty where nothing of it is allowed."""
    return " ".join(_NO_TAG.sub(" ", text).split())[:_MAX_TAG].strip()


def _count(text: str | None, default: int) -> int:
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 9:
        return default
    return int(text)


def deleted_answer(done: Deleted) -> Response:
    """Answer as Mailpit does, and say in headers what is not obvious."""
    return Response(
        "ok",
        media_type="text/plain",
        headers={
            "Relaylab-Deleted": str(done.deleted),
            "Relaylab-Undelivered": str(len(done.undelivered)),
            "Relaylab-In-Hand": str(len(done.in_hand)),
        },
    )


async def or_unknown(look: Callable[[], _T]) -> _T:
    """Return what `look` finds in a thread; ProblemError for NotFound."""
    try:
        return await asyncio.to_thread(look)
    except NotFound:
        raise unknown("There is no such message.") from None


def unknown(detail: str) -> ProblemError:
    """Return the error for what is not there."""
    return _problem(ProblemKind.UNKNOWN_MESSAGE, detail, "GET /api/v1/messages lists them.")


def bad(detail: str, following: str = "See Mailpit's API, version 1.") -> ProblemError:
    """Return the error for a request that makes no sense."""
    return _problem(ProblemKind.BAD_REQUEST, detail, following)


def _problem(kind: ProblemKind, detail: str, following: str) -> ProblemError:
    # Mailpit's clients show what stands under Error.
    return ProblemError(Problem(kind=kind, detail=detail, next=following, also={"Error": detail}))


def json_answer(body: object) -> Response:
    """Return a JSON document."""
    return Response(json.dumps(body).encode(), media_type=JSON)


def ok() -> Response:
    """Return Mailpit's answer to a change."""
    return Response("ok", media_type="text/plain")
