"""Whether a refusal is read by a person in a browser, and the page that it is then."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from relay.web.pages_kit import Pages
from relay.web.problems import MEDIA_TYPE, Problem, ProblemKind

_FOR_PROGRAMS: Final = ("/api/", "/services/")
"""Below them is no page: who asks there reads problem details, whatever a library accepts."""
_NEXT: Final[Mapping[ProblemKind, str]] = MappingProxyType(
    {
        ProblemKind.UNKNOWN_PATH: "All pages are in the menu.",
        ProblemKind.METHOD_NOT_ALLOWED: "It is for the buttons of a page; all pages are in "
        "the menu.",
    }
)
"""What people do next, where a problem's own words are for programs."""


def is_for_people(request: Request) -> bool:
    """Whether the answer is for a browser: it accepts HTML, and JSON less or not at all."""
    if request.url.path.startswith(_FOR_PROGRAMS):
        return False
    accepted = _accepted(request.headers.get("accept", ""))
    json = max(accepted.get("application/json", 0.0), accepted.get(MEDIA_TYPE, 0.0))
    return accepted.get("text/html", 0.0) > json


def _accepted(header: str) -> dict[str, float]:
    """Return the media types that an Accept header names, with their weights (RFC 9110 12.5.1)."""
    found = {}
    for part in header.lower().split(","):
        kind, *parameters = (step.strip() for step in part.split(";"))
        weights = [text[2:] for text in parameters if text.startswith("q=")]
        try:
            found[kind] = float(weights[0]) if weights else 1.0
        except ValueError:
            found[kind] = 0.0
    return found


async def problem_page(pages: Pages, problem: Problem) -> Response:
    """Return the page that says what a problem's details say, with the same status and headers."""

    def make() -> Response:
        return pages.response(
            "problem.html",
            problem.kind.status,
            here="",
            title=problem.kind.title,
            detail=problem.detail,
            next=_NEXT.get(problem.kind, problem.next),
        )

    answer = await asyncio.to_thread(make)
    answer.headers.update(problem.headers)
    return answer
