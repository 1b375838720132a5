"""Bounces over HTTP: lists, each one, and the report of what bounced."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Final

from fastapi import APIRouter, Query
from fastapi.responses import Response

from relay.core.bounce_report import ReportBy, ReportRow, bounce_report
from relay.core.jsonform import Json, to_json
from relay.core.records import Bounce
from relay.journal.api import JournalReader
from relay.journal.contacts_store import ContactsStore
from relay.web.answers import cursor_page, json_document
from relay.web.parameters import Before, Code, DomainName, Id, Limit, MailAddress, Since
from relay.web.schemas import json_answer
from relay.web.served import ServedRelay

_PAGE: Final = 1000
"""Bounces read at a time; a report needs no more memory however many there are."""


def report_of(
    journal: JournalReader, by: ReportBy, since: datetime | None
) -> tuple[ReportRow, ...]:
    """Return the report over all bounces on record."""
    return bounce_report(_all(journal), by, since=since)


def report_json(rows: tuple[ReportRow, ...], by: ReportBy, contacts: ContactsStore) -> list[Json]:
    """Return a report's rows; those of contacts name the contacts and leads of each address."""
    found: list[Json] = []
    for row in rows:
        form = to_json(row)
        assert isinstance(form, dict)
        if by is ReportBy.CONTACT:
            of = contacts.contacts(row.what)
            form["contacts"] = to_json(of)
        found.append(form)
    return found


def bounce_router(served: ServedRelay) -> APIRouter:
    """Return the routes below `/bounces`."""
    router = APIRouter(prefix="/bounces", tags=["bounces"])
    journal = served.journal

    @router.get("", responses={200: json_answer("The newest first.", "Bounces")})
    async def bounces(
        recipient: Annotated[
            MailAddress | None, Query(description="Of this address, in any case.")
        ] = None,
        domain: Annotated[DomainName | None, Query(description="Of addresses in it.")] = None,
        code: Code = None,
        limit: Limit = 50,
        before: Before = None,
    ) -> Response:
        """List bounces, delays among them, that every given mark applies to."""
        wanted = None if code is None else code.replace("+", " ")

        def page() -> Json:
            found = journal.bounces(
                limit, before=before, recipient=recipient, domain=domain, code=wanted
            )
            return cursor_page(found, limit, last=found[-1].id if found else None)

        return await json_document(page)

    @router.get("/report", responses={200: json_answer("The worst first.", "BounceReport")})
    async def report(
        by: Annotated[ReportBy, Query(description="What to count by.")] = ReportBy.CONTACT,
        since: Since = None,
    ) -> Response:
        """Count final failures by contact, code, domain or cause."""
        return await json_document(
            lambda: report_json(report_of(journal, by, since), by, served.contacts)
        )

    @router.get("/{id}", responses={200: json_answer("One bounce.", "Bounce")})
    async def bounce(id: Id) -> Response:  # noqa: A002 - the path's own word
        """Show a bounce: code, cause, remedy, every fault, and where its session is."""
        return await json_document(lambda: to_json(journal.bounce(id)))

    return router


def _all(journal: JournalReader) -> Iterator[Bounce]:
    before = None
    while page := journal.bounces(_PAGE, before=before):
        yield from page
        before = page[-1].id
