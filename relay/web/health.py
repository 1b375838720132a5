"""`/livez` and `/readyz`: whether to restart the program, and whether to send it anything yet."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.readiness import Readiness
from relay.web.schemas import PROBLEM, json_answer


def health_router(readiness: Readiness) -> APIRouter:
    """Return the two routes."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", responses={200: json_answer("It runs.", "Health")})
    async def livez() -> JSONResponse:
        """Tell that the program runs and answers."""
        return JSONResponse({"status": "live"})

    @router.get("/readyz", responses={200: json_answer("All of that.", "Health"), 503: PROBLEM})
    async def readyz() -> JSONResponse:
        """Tell whether all listeners accept and the journal can be written; 503 says what isn't."""
        if missing := list(await readiness()):
            raise ProblemError(
                Problem(
                    kind=ProblemKind.NOT_READY,
                    detail=f"Not ready: {'; '.join(missing)}.",
                    next="Ask again in a moment; if it lasts, restart.",
                    also={"missing": list[object](missing)},  # type: ignore[dict-item]
                )
            )
        return JSONResponse({"status": "ready"})

    return router
