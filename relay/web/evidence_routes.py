"""Evidence over HTTP: what was seen of each domain's hosts, under all five settings."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from relay.core.jsonform import Json, to_json
from relay.web.answers import json_document
from relay.web.evidence_query import evidence_of, grid
from relay.web.parameters import DomainName
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import json_answer
from relay.web.served import ServedRelay


def evidence_router(served: ServedRelay) -> APIRouter:
    """Return the routes below `/evidence`."""
    router = APIRouter(prefix="/evidence", tags=["evidence"])

    @router.get("", responses={200: json_answer("The latest first.", "Destinations")})
    async def destinations(
        limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 50,
        offset: Annotated[int, Query(ge=0, le=10**9, description="How many to leave out.")] = 0,
    ) -> Response:
        """List the domains that mail went to, with what each setting makes of each."""

        def page() -> Json:
            return [
                {
                    "domain": counted.domain,
                    "messages": counted.messages,
                    "latest": counted.latest,
                    "settings": {told.setting.value: told.word for told in evidence.settings},
                }
                for counted, evidence in grid(served, limit, offset)
            ]

        return await json_document(page)

    @router.get("/{domain}", responses={200: json_answer("One domain.", "DomainEvidence")})
    async def evidence(
        domain: Annotated[DomainName, Path(description="A recipients' domain.")],
    ) -> Response:
        """Show each host's newest evidence, and what each setting makes of it."""

        def found() -> Json:
            of = evidence_of(served, domain)
            if of.record is None:
                raise ProblemError(
                    Problem(
                        kind=ProblemKind.UNKNOWN_RECORD,
                        detail="No try at this domain is on record.",
                        next="GET /api/v1/evidence lists the domains that mail went to.",
                    )
                )
            return to_json(of)

        return await json_document(found)

    return router
