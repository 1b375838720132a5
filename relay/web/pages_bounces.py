"""The page of bounces: the newest, and counts by domain, code, cause or contact."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.core.addresses import Domain, parse_domain
from relay.core.bounce_report import ReportBy, bounce_report
from relay.core.records import Bounce
from relay.formats.spreadsheet import spreadsheet_csv
from relay.journal.sqlite_reader import code_parts
from relay.web.bounce_routes import report_of
from relay.web.pages_kit import Pages
from relay.web.served import ServedRelay

PAGE: Final = 50
COUNTED: Final = 1000
"""The newest bounces, which the page counts; the CSV file counts all."""
_COLUMNS: Final = ("what", "count", "hard", "addresses", "first_at", "last_at", "latest")


def bounce_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the routes `/bounces` and `/bounces/report.csv`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/bounces")
    async def bounces(request: Request) -> Response:
        given = request.query_params
        return await pages.answer(
            lambda: _bounces(
                served,
                pages,
                by=_by(given.get("by", "")),
                domain=given.get("domain", "").strip(),
                code=given.get("code", "").strip(),
                before=given.get("before"),
            ),
            here="/bounces",
        )

    @router.get("/bounces/report.csv")
    async def report(request: Request) -> Response:
        by = _by(request.query_params.get("by", ""))
        return await pages.answer(lambda: _csv(served, by), here="/bounces")

    return router


def _by(given: str) -> ReportBy:
    return next((by for by in ReportBy if by.value == given), ReportBy.DOMAIN)


def _bounces(
    served: ServedRelay, pages: Pages, *, by: ReportBy, domain: str, code: str, before: str | None
) -> Response:
    problems: list[str] = []
    wanted: Domain | None = None
    try:
        wanted = parse_domain(domain) if domain else None
    except ValueError:
        problems.append(f"“{domain}” is not a domain's name; one is partner.example.")
    try:
        if code:
            code_parts(code)
    except ValueError:
        problems.append(f"“{code}” is not a code; one is 451, 4.7.5 or 451 4.7.5.")
    found: tuple[Bounce, ...] = ()
    if not problems:
        found = served.journal.bounces(PAGE, before=before, domain=wanted, code=code or None)
    newest = served.journal.bounces(COUNTED)
    marks = {"by": by.value, "domain": domain, "code": code}
    return pages.response(
        "bounces.html",
        here="/bounces",
        by=by,
        ways=tuple(ReportBy),
        report=bounce_report(newest, by, since=None),
        counted=len(newest) if len(newest) == COUNTED else None,
        bounces=found,
        older=found[-1].id if len(found) == PAGE else None,
        query=urlencode({name: value for name, value in marks.items() if value}),
        domain=domain,
        code=code,
        problem=" ".join(problems) or None,
    )


def _csv(served: ServedRelay, by: ReportBy) -> Response:
    rows = report_of(served.journal, by, None)
    cells = ([str(getattr(row, column)) for column in _COLUMNS] for row in rows)
    return Response(
        spreadsheet_csv([_COLUMNS, *cells]).encode("utf-8", "replace"),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="bounces-by-{by.value}.csv"'},
    )
