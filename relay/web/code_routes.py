"""Codes over HTTP: what a code, or a line of a log, says, and the texts of the code books."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import Response

from relay.core.code_explain import MAX_LINE, explain
from relay.core.codebook_data import CODE_BOOKS
from relay.core.jsonform import to_json
from relay.web.answers import json_document
from relay.web.schemas import json_answer


def code_router() -> APIRouter:
    """Return the routes below `/codes`."""
    router = APIRouter(prefix="/codes", tags=["codes"])

    @router.get("", responses={200: json_answer("By book and failure.", "CodeBooks")})
    async def books() -> Response:
        """List what each code book reports each failure with."""
        return await json_document(
            lambda: {
                book.name: {kind.value: str(entry) for kind, entry in book.entries.items()}
                for book in CODE_BOOKS.values()
            }
        )

    @router.get("/explain", responses={200: json_answer("What is known.", "Explanation")})
    async def explained(
        line: Annotated[
            str,
            Query(min_length=1, max_length=MAX_LINE, description="A code, or a line that has one."),
        ],
    ) -> Response:
        """Say whether a code is final and what is behind it, the likeliest cause first."""
        return await json_document(lambda: to_json(explain(line)))

    return router
