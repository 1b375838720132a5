"""`/livez` and `/readyz`: whether to restart the program, and whether to send it anything yet."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from relay.core.routing import NameServer
from relay.lab.lab import Lab
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import PROBLEM, json_answer

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""Returns what is not ready yet, as short phrases; nothing where all is."""

_CONNECT_SECONDS: Final = 2.0


def health_router(readiness: Readiness) -> APIRouter:
    """Return the two routes."""
    router = APIRouter(tags=["health"])

    @router.get("/livez", responses={200: json_answer("It runs.", "Health")})
    async def livez() -> JSONResponse:
        """Tell that the program runs and answers."""
        return JSONResponse({"status": "live"})

    @router.get(
        "/readyz", responses={200: json_answer("Every listener accepts.", "Health"), 503: PROBLEM}
    )
    async def readyz() -> JSONResponse:
        """Tell whether every listener accepts connections; 503 names those that do not."""
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


def lab_readiness(lab: Lab, name_server: NameServer | None = None) -> Readiness:
    """Return the check of a lab: each receiver that was started listens, the name server accepts.

    No receiver is connected to, for it would record a session that no client had.
    """

    async def missing() -> list[str]:
        found = [f"lab/{name} does not listen" for name in lab.deaf]
        if name_server is not None and not await _accepts(name_server):
            found.append(f"the name server on {name_server} does not accept")
        return found

    return missing


async def _accepts(server: NameServer) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(server.address, server.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
