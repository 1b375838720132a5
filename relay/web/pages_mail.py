"""The mail pages: the list with its search, and each message with its way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.core.addresses import Domain, domain_of, parse_domain
from relay.core.records import Notified
from relay.core.settings import Protection
from relay.journal.api import MessageRecord, NotFound, RecipientState, RecipientStatus
from relay.journal.browsing import SqliteBrowser
from relay.journal.searching import ALL, MessageFilter
from relay.journal.sqlite_reader import code_parts
from relay.web.mail_parts import header_fields, part_summaries
from relay.web.mailpit_message import MailMessage
from relay.web.pages_kit import Badge, Pages, see_other
from relay.web.pages_way import badge_of, way_of
from relay.web.served import ServedRelay

PAGE: Final = 50
"""Messages on a page of the list."""
MAX_TEXT: Final = 200_000
"""Characters of a message's text that its page shows."""
_E = TypeVar("_E", bound=Enum)
_NOTIFICATIONS: Final = 100
"""A sender's newest messages, among which notifications are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What a list is asked for, as it was written, and how it was understood.

    `problem` says what could not be; nothing is listed then.
    """

    text: str
    state: str
    protection: str
    domain: str
    code: str
    wanted: MessageFilter
    problem: str | None

    @property
    def query(self) -> str:
        """The marks as the query of an address."""
        given = {
            "q": self.text,
            "state": self.state,
            "protection": self.protection,
            "domain": self.domain,
            "code": self.code,
        }
        return urlencode({name: value for name, value in given.items() if value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message of the list, and each recipient with its badge."""

    record: MessageRecord
    recipients: tuple[tuple[RecipientStatus, Badge], ...]


def read_search(given: Mapping[str, str]) -> Search:
    """Read a search from an address; what can't be understood is said in `problem`."""
    text, domain, code = (given.get(name, "").strip()[:500] for name in ("q", "domain", "code"))
    state, protection = given.get("state", ""), given.get("protection", "")
    problems: list[str] = []
    found_state = _one_of(RecipientState, state, problems)
    found_protection = _one_of(Protection, protection, problems)
    found_domain: Domain | None = None
    if domain:
        try:
            found_domain = parse_domain(domain)
        except ValueError:
            problems.append(f"“{domain}” is not a domain's name; one is partner.example.")
    if code:
        try:
            code_parts(code)
        except ValueError:
            problems.append(f"“{code}” is not a code; one is 451, 4.7.5 or 451 4.7.5.")
    wanted = ALL
    if not problems:
        wanted = MessageFilter(
            text=text or None,
            state=found_state,
            protection=found_protection,
            domain=found_domain,
            code=code or None,
        )
    return Search(
        text=text,
        state=state,
        protection=protection,
        domain=domain,
        code=code,
        wanted=wanted,
        problem=" ".join(problems) or None,
    )


def mail_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the routes `/` and below `/mail`."""
    router = APIRouter(include_in_schema=False)
    journal, steering = served.journal, served.relay.steering

    @router.get("/")
    async def mail(request: Request) -> Response:
        given = request.query_params
        search, before = read_search(given), given.get("before")
        return await pages.answer(lambda: _list(served, pages, search, before), here="/")

    @router.get("/mail/{id}")
    async def message(id: str) -> Response:  # noqa: A002 - the path's own word
        return await pages.answer(lambda: _message(served, pages, id), here="/")

    @router.post("/mail/{id}/retry")
    async def retry(id: str) -> Response:  # noqa: A002
        try:
            done = await steering.retry(id)
        except NotFound:
            return await asyncio.to_thread(pages.not_found, "/")
        return see_other(f"/mail/{done.message_id}")

    @router.post("/mail/{id}/delete")
    async def delete(id: str) -> Response:  # noqa: A002
        def one() -> Mapping[str, tuple[RecipientStatus, ...]]:
            record = journal.message(id)
            return {record.envelope.id: record.recipients}

        try:
            done = await steering.delete(one)
        except NotFound:
            return await asyncio.to_thread(pages.not_found, "/")
        return see_other(f"/mail/{done.in_hand[0]}" if done.in_hand else "/")

    return router


def _list(served: ServedRelay, pages: Pages, search: Search, before: str | None) -> Response:
    records: tuple[MessageRecord, ...] = ()
    if search.problem is None:
        records = served.journal.find_records(PAGE, search.wanted, before=before)
    smtp = served.relay.endpoints[0]
    return pages.response(
        "mail.html",
        here="/",
        search=search,
        states=tuple(RecipientState),
        protections=tuple(Protection),
        before=before,
        rows=[
            Row(record=r, recipients=tuple((s, badge_of(r, s)) for s in r.recipients))
            for r in records
        ],
        older=records[-1].envelope.id if len(records) == PAGE else None,
        smtp=f"{smtp.host}:{smtp.port}",
    )


def _message(served: ServedRelay, pages: Pages, message_id: str) -> Response:
    journal = served.journal
    record = journal.message(message_id)
    octets = journal.content(record.envelope.id)
    content = MailMessage(octets)
    text = content.text
    return pages.response(
        "message.html",
        here="/",
        way=way_of(served, record),
        record=record,
        envelope=record.envelope,
        subject=content.header("Subject") or record.envelope.subject or "(no subject)",
        text=text[:MAX_TEXT],
        cut=len(text) > MAX_TEXT,
        has_html=bool(content.html),
        headers=header_fields(octets),
        parts=part_summaries(octets),
        queued=any(s.state is RecipientState.QUEUED for s in record.recipients),
        notifications=_notifications(journal, record),
    )


def _notifications(journal: SqliteBrowser, record: MessageRecord) -> tuple[str, ...]:
    """Return the ids of notifications about a message, as far as they are quickly found."""
    sender = record.envelope.reverse_path
    if not sender or all(b.notified is not Notified.SENDER for b in record.bounces):
        return ()
    back = MessageFilter(recipient=sender, domain=domain_of(sender))
    return tuple(
        found.envelope.id
        for found in reversed(journal.find_messages(_NOTIFICATIONS, back))
        if found.envelope.notification_for == record.envelope.id
    )


def _one_of(kind: type[_E], given: str, problems: list[str]) -> _E | None:
    if not given:
        return None
    try:
        return kind(given)
    except ValueError:
        problems.append(f"“{given}” is none of: {', '.join(str(each.value) for each in kind)}.")
        return None
