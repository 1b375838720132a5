"""The page of the lab: a card for each way to fail, tried with a message through the relay."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime, make_msgid
from typing import Final

import aiosmtplib
from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.core.outcomes import DnsProblem
from relay.core.scenarios import Family, Scenario
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver, RetryInClear
from relay.formats.report import Mark
from relay.inbound.listeners import ListenerKind
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
from relay.lab.outlook import foretell
from relay.web.pages_kit import Badge, Pages, see_other
from relay.web.served import ServedRelay

TIMEOUT: Final = 150.0
"""Seconds for the whole try; longer than any shipped policy keeps a client waiting."""
SENDER: Final = "sender@example.test"
_REACHABLE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a client connects to


@dataclass(frozen=True, slots=True, kw_only=True)
class CardView:
    """A scenario's card; `unavailable` says why this machine can't run it."""

    card: Scenario
    forecast: tuple[tuple[TlsSetting, Badge], ...]
    unavailable: str | None
    sessions: int
    messages: int


def lab_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the routes `/lab` and below it. They run in the lab's event loop."""
    router = APIRouter(include_in_schema=False)
    lab = served.relay.lab

    def shown(problem: str | None, status: int = 200) -> Response:
        cards = [_card(served, card) for card in SCENARIOS.values()]
        return pages.response(
            "lab.html",
            status,
            here="/lab",
            families=[
                (family, [view for view in cards if view.card.family is family])
                for family in Family
            ],
            scripts=lab.scripts,
            problem=problem,
        )

    @router.get("/lab")
    async def cards() -> Response:
        return shown(None)

    @router.post("/lab/try/{name}")
    async def try_it(name: str, request: Request) -> Response:
        if name not in SCENARIOS:
            return await asyncio.to_thread(pages.not_found, "/lab")
        message, message_id = _message(SCENARIOS[name])
        problem = await _submit(served, message, SCENARIOS[name])
        journal = served.journal
        found = await asyncio.to_thread(journal.find_by_message_id_header, message_id)
        if found is not None:
            return see_other(f"/mail/{found}")
        return shown(problem or "The relay took no such message.", 502)

    @router.post("/lab/reset")
    async def reset() -> Response:
        lab.reset()
        return see_other("/lab")

    @router.post("/lab/scripts/clear")
    async def clear_scripts() -> Response:
        lab.clear_scripts()
        return see_other("/lab")

    return router


def _card(served: ServedRelay, card: Scenario) -> CardView:
    scripted = LAB_SCENARIOS.get(card.name)
    received = served.relay.lab.received(card.name) if scripted else ()
    return CardView(
        card=card,
        forecast=tuple((setting, _foretold(card, setting)) for setting in TlsSetting),
        unavailable=why_unavailable(scripted) if scripted else None,
        sessions=len(received),
        messages=sum(len(session.messages) for session in received),
    )


def _foretold(card: Scenario, setting: TlsSetting) -> Badge:
    match foretell(card, setting):
        case DnsProblem() as problem:
            return Badge(text=problem.value, mark=Mark.BAD)
        case Deliver(protection=Protection.CLEAR):
            return Badge(text="clear", mark=Mark.WARNING)
        case Deliver(protection=protection):
            return Badge(text=protection.value, mark=Mark.GOOD)
        case RetryInClear():
            return Badge(text="clear", mark=Mark.WARNING)
        case _:
            return Badge(text="refused", mark=Mark.BAD)


def _message(card: Scenario) -> tuple[bytes, str]:
    """Return a message to a scenario, and the Message-ID to find it by."""
    message = EmailMessage(policy=SMTP)
    message["From"] = SENDER
    message["To"] = f"anyone@{card.mail_domain}"
    message["Subject"] = f"A try of {card.name}"
    message["Date"] = format_datetime(localtime())
    message["Message-ID"] = make_msgid(domain="relaylab.test")
    message.set_content(f"{card.summary}\n")
    return message.as_bytes(), str(message["Message-ID"])


async def _submit(served: ServedRelay, message: bytes, card: Scenario) -> str | None:
    """Hand a message to the relay's own listener; return what it said where it took none.

    What the reply to DATA says is on record, whether it is an acceptance or a bounce.
    """
    at = next((e for e in served.relay.endpoints if e.kind is ListenerKind.SMTP), None)
    if at is None:
        return "This relay has no listener for plain SMTP."
    client = aiosmtplib.SMTP(
        hostname=_REACHABLE.get(at.host, at.host),
        port=at.port,
        start_tls=False,
        local_hostname="relay-pages.test",
        timeout=TIMEOUT,
    )
    try:
        async with asyncio.timeout(TIMEOUT), client:
            await client.sendmail(SENDER, [f"anyone@{card.mail_domain}"], message)
    except aiosmtplib.SMTPResponseException as refused:
        return f"The relay answered {refused.code}."
    except (aiosmtplib.SMTPException, OSError, TimeoutError):
        return "The relay took no message just now."
    return None
