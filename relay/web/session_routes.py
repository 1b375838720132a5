"""Sessions and attempts over HTTP: every dialog, failed handshakes too, and every try."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from relay.core.jsonform import Json, to_json
from relay.core.records import SessionDirection
from relay.journal.searching import HandshakeKind, OutcomeKind
from relay.web.answers import cursor_page, json_document
from relay.web.parameters import Before, DomainName, Id, Limit
from relay.web.schemas import json_answer
from relay.web.served import ServedRelay


def session_router(served: ServedRelay) -> APIRouter:
    """Return the routes of `/sessions`."""
    router = APIRouter(prefix="/sessions", tags=["sessions"])
    journal = served.journal

    @router.get("", responses={200: json_answer("The newest first.", "Sessions")})
    async def sessions(
        direction: Annotated[
            SessionDirection | None, Query(description="Who opened the session.")
        ] = None,
        handshake: Annotated[
            HandshakeKind | None, Query(description="How the TLS handshake ended.")
        ] = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> Response:
        """List sessions with their transcripts, inbound and outbound."""

        def page() -> Json:
            found = journal.find_sessions(
                limit, before=before, direction=direction, handshake=handshake
            )
            return cursor_page(found, limit, last=found[-1].id if found else None)

        return await json_document(page)

    @router.get("/{id}", responses={200: json_answer("One session.", "Session")})
    async def session(id: Id) -> Response:  # noqa: A002 - the path's own word
        """Show a session: evidence, faults, advisories and the dialog."""
        return await json_document(lambda: to_json(journal.session(id)))

    return router


def attempt_router(served: ServedRelay) -> APIRouter:
    """Return the routes of `/attempts`."""
    router = APIRouter(prefix="/attempts", tags=["sessions"])
    journal = served.journal

    @router.get("", responses={200: json_answer("The newest first.", "Attempts")})
    async def attempts(
        domain: Annotated[DomainName | None, Query(description="At this domain.")] = None,
        outcome: Annotated[
            OutcomeKind | None, Query(description="That ended so for a recipient.")
        ] = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> Response:
        """List tries, each of one message at one host."""

        def page() -> Json:
            found = journal.attempts(limit, before=before, domain=domain, outcome=outcome)
            return cursor_page(found, limit, last=found[-1].id if found else None)

        return await json_document(page)

    @router.get("/{id}", responses={200: json_answer("One attempt.", "Attempt")})
    async def attempt(id: Id) -> Response:  # noqa: A002 - the path's own word
        """Show a try: the rule that held, the host, the verdict and each recipient's outcome."""
        return await json_document(lambda: to_json(journal.attempt(id)))

    return router
