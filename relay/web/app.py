"""The application of the management port: all routes, one form of errors, behind the guards."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from relay import __version__
from relay.journal.api import JournalError, NotFound
from relay.lab.lab import Lab
from relay.web.health import health_router
from relay.web.lab_routes import lab_router
from relay.web.pages_kit import Pages
from relay.web.pages_router import page_routers
from relay.web.problem_pages import is_for_people, problem_page
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.readiness import Readiness
from relay.web.relay_routes import relay_roots, relay_routers
from relay.web.safety import Access, guarded
from relay.web.schemas import PROBLEM, record_schemas
from relay.web.script_routes import script_router
from relay.web.served import ServedRelay

log = logging.getLogger("relay.web")

API: Final = "/api/v1"
OPENAPI: Final = f"{API}/openapi.json"


class _Api(FastAPI):
    """FastAPI whose document names the records' own schemas."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            parts = document.setdefault("components", {})
            parts.setdefault("schemas", {}).update(record_schemas())
            parts["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            # A token is needed only where the port was started with one.
            document["security"] = [{}, {"token": []}]
        assert self.openapi_schema is not None
        return self.openapi_schema


def management_app(
    lab: Lab,
    *,
    readiness: Readiness,
    access: Access,
    bound: str,
    served: ServedRelay | None = None,
) -> ASGIApp:
    """Return the application; it must be served in the lab's event loop.

    `readiness` answers `/readyz`; `bound` is the address that the port listens on. `served` is the
    relay, None where the lab runs alone.
    """
    roots, routers = [health_router(readiness)], [lab_router(lab), script_router(lab)]
    pages = None
    if served is not None:
        pages = Pages(read_only=access.read_only)
        roots += [*relay_roots(served), *page_routers(served, pages)]
        routers += relay_routers(served)
    return guarded(make_api(roots, routers, pages=pages), access, bound=bound)


def make_api(
    roots: Sequence[APIRouter], routers: Sequence[APIRouter], *, pages: Pages | None = None
) -> FastAPI:
    """Return the routes without guards: `roots` as they are, `routers` below `/api/v1`.

    With `pages`, what is refused to a person in a browser is a page, too.
    """
    api = _Api(
        title="Relaylab",
        version=__version__,
        summary="A relay's mail, and the lab's certificates, zone and receivers.",
        openapi_url=OPENAPI,
        docs_url=None,
        redoc_url=None,
        responses={"default": PROBLEM},
        exception_handlers={
            ProblemError: _on_problem,
            RequestValidationError: _on_bad_parameters,
            HTTPException: _told(_http_problem, pages),
            NotFound: _on_not_found,
            JournalError: _told(_journal_problem, pages),
            Exception: _told(_defect, pages),
        },
    )
    for root in roots:
        api.include_router(root)
    for router in routers:
        api.include_router(router, prefix=API)
    return api


def _told(
    problem_of: Callable[[Request, Exception], Problem], pages: Pages | None
) -> Callable[[Request, Exception], Coroutine[Any, Any, Response]]:
    """Return what answers with a problem: a page for a person in a browser, else its details."""

    async def handler(request: Request, error: Exception) -> Response:
        problem = problem_of(request, error)
        if pages is not None and is_for_people(request):
            return await problem_page(pages, problem)
        return problem.response()

    return handler


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return error.problem.response()


async def _on_bad_parameters(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    found = [(".".join(str(step) for step in e["loc"]), e["msg"]) for e in error.errors()]
    return Problem(
        kind=ProblemKind.BAD_PARAMETERS,
        detail="; ".join(f"{where}: {what}" for where, what in found),
        next=f"GET {OPENAPI} says what this path takes.",
        also={"problems": [{"where": where, "what": what} for where, what in found]},
    ).response()


def _http_problem(request: Request, error: Exception) -> Problem:
    """Tell what the framework itself refuses: a path, a method, a body that is no JSON."""
    assert isinstance(error, HTTPException)
    match error.status_code:
        case HTTPStatus.NOT_FOUND:
            return Problem(
                kind=ProblemKind.UNKNOWN_PATH,
                detail="This port has no such path.",
                next=f"GET {OPENAPI} lists all paths.",
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return Problem(
                kind=ProblemKind.METHOD_NOT_ALLOWED,
                detail=f"{request.method} is not for this path.",
                next=f"GET {OPENAPI} lists the methods of each path.",
                headers=error.headers or {},
            )
        case _:
            return Problem(
                kind=ProblemKind.BAD_REQUEST,
                detail="The request can't be read.",
                next=f"GET {OPENAPI} says what this path takes.",
            )


async def _on_not_found(_: Request, __: Exception) -> Response:
    return Problem(
        kind=ProblemKind.UNKNOWN_RECORD,
        detail="The journal has nothing of this id, or several records whose ids begin like it.",
        next="Give the whole id, or `latest`; the list of such records has all ids.",
    ).response()


def _journal_problem(_: Request, error: Exception) -> Problem:
    """Tell of a journal that can't be used now; what is wrong with it goes to the log."""
    log.error("the journal can't be used: %s", error)
    return Problem(
        kind=ProblemKind.JOURNAL_UNAVAILABLE,
        detail="The journal can't be read or written just now.",
        next="Look at the disk that it lies on; the relay's standard error says what is wrong.",
    )


def _defect(_: Request, __: Exception) -> Problem:
    """Tell of a defect; its traceback goes to the log and nowhere else."""
    return Problem(
        kind=ProblemKind.INTERNAL,
        detail="The request met a defect of this program.",
        next="Its standard error has the traceback; please report it.",
    )
