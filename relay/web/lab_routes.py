"""The lab over HTTP: its certificates, its zone, its cards, and what its receivers were told.

Every route runs in the lab's event loop, for the lab is its alone. What is read there is made JSON
in a thread, so that a long transcript does not hold mail up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import Enum, unique
from typing import Annotated, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response

from relay.core.jsonform import Json, to_json
from relay.core.scenarios import Family, Scenario
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS, SCENARIOS, UnknownScenario
from relay.lab.lab import Lab
from relay.lab.outlook import card_json
from relay.lab.received import MAX_SESSIONS, ReceivedMessage
from relay.lab.zone import lab_zone
from relay.web.answers import JSON, download, json_document
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schema_parts import ref
from relay.web.schemas import answer, json_answer
from relay.web.zone_file import zone_file

PEM: Final = "application/x-pem-file"
CRL: Final = "application/pkix-crl"  # RFC 2585 section 4.2
ZONE_FILE: Final = "text/dns"  # RFC 4027
MESSAGE: Final = "message/rfc822"
_OCTETS: Final = {"type": "string", "format": "binary"}

Name = Annotated[str, Path(description="A scenario's name, or `capture`.")]
Offset = Annotated[int, Query(ge=0, description="How many of the oldest to leave out.")]
Limit = Annotated[int, Query(ge=1, le=MAX_SESSIONS, description="How many at most.")]


@unique
class ZoneFormat(Enum):
    """How the zone is written."""

    JSON = "json"
    TEXT = "text"


@unique
class Latest(Enum):
    """The name of the newest message, wherever a number is expected."""

    LATEST = "latest"


def lab_router(lab: Lab) -> APIRouter:
    """Return the routes below `/lab`."""
    router = APIRouter(prefix="/lab", tags=["lab"])
    _add_certificates(router, lab)
    _add_zone(router, lab)
    _add_scenarios(router, lab)
    _add_testimony(router, lab)
    return router


def _add_certificates(router: APIRouter, lab: Lab) -> None:
    @router.get("/ca.pem", response_class=Response, responses={200: answer("PEM.", {PEM: _OCTETS})})
    async def ca_certificate() -> Response:
        """Return the lab's root certificate: what a client trusts that is to trust the lab."""
        return download(lab.authority.root_pem, PEM, "lab-root.pem")

    @router.get(
        "/crl.pem", response_class=Response, responses={200: answer("PEM.", {PEM: _OCTETS})}
    )
    async def revocation_list() -> Response:
        """Return the revocation list of the lab's intermediate, as PEM."""
        return download(await _crl(lab), PEM, "lab-crl.pem")

    @router.get(
        "/crl.der", response_class=Response, responses={200: answer("DER.", {CRL: _OCTETS})}
    )
    async def revocation_list_der() -> Response:
        """Return the revocation list of the lab's intermediate, as DER."""
        found = x509.load_pem_x509_crl(await _crl(lab))
        return download(found.public_bytes(Encoding.DER), CRL, "lab-crl.der")


def _add_zone(router: APIRouter, lab: Lab) -> None:
    @router.get(
        "/zone",
        response_class=Response,
        responses={200: answer("Records.", {JSON: ref("Zone"), ZONE_FILE: {"type": "string"}})},
    )
    async def zone(
        wanted: Annotated[ZoneFormat | None, Query(alias="format")] = None,
        accept: Annotated[str, Header(include_in_schema=False)] = "",
    ) -> Response:
        """Return the lab's DNS records, of the receivers that have started.

        As a zone file with `format=text`, or where `Accept` names text/dns.
        """
        capture = CAPTURE.card.name
        records = lab_zone({name: at for name, at in lab.endpoints.items() if name != capture})
        if wanted is ZoneFormat.TEXT or (wanted is None and ZONE_FILE in accept):
            return Response(zone_file(records), media_type=ZONE_FILE)
        return await json_document(lambda: to_json(dict(records)))


def _add_scenarios(router: APIRouter, lab: Lab) -> None:
    @router.get("/scenarios", responses={200: json_answer("All cards.", "LabScenarios")})
    async def scenarios(family: Family | None = None) -> Response:
        """List every scenario, or those of one family."""
        cards = [card for card in SCENARIOS.values() if family in {None, card.family}]
        return await json_document(lambda: [_scenario_json(lab, card) for card in cards])

    @router.get("/scenarios/{name}", responses={200: json_answer("One card.", "LabScenario")})
    async def scenario(name: Name) -> Response:
        """Show one scenario: its card, the verdict under each setting, where it listens."""
        card = _find(name)
        return await json_document(lambda: _scenario_json(lab, card))


def _add_testimony(router: APIRouter, lab: Lab) -> None:
    @router.get(
        "/scenarios/{name}/sessions",
        responses={200: json_answer("Sessions with transcripts.", "ReceivedSessions")},
    )
    async def sessions(name: Name, offset: Offset = 0, limit: Limit = 100) -> Response:
        """List a receiver's sessions, failed handshakes and open ones too."""
        found = lab.received(_find(name).name)
        return await json_document(lambda: _page(found, offset, limit))

    @router.get(
        "/scenarios/{name}/messages",
        responses={200: json_answer("Messages, without content.", "ReceivedMessages")},
    )
    async def messages(name: Name, offset: Offset = 0, limit: Limit = 100) -> Response:
        """List the messages that a receiver took; the first that is kept is number 1."""
        found = lab.messages(_find(name).name)
        return await json_document(lambda: _page(found, offset, limit))

    @router.get(
        "/scenarios/{name}/messages/{number}/raw",
        response_class=Response,
        responses={200: answer("The message, octet for octet.", {MESSAGE: _OCTETS})},
    )
    async def raw_message(name: Name, number: Annotated[int, Path(ge=1)] | Latest) -> Response:
        """Return a message as the receiver took it; `latest` is the newest."""
        card = _find(name)
        found = lab.messages(card.name)
        at = len(found) if number is Latest.LATEST else int(number)
        message = _message(card, found, at)
        return download(message.content, MESSAGE, f"{card.name}-{at}.eml")

    @router.post("/reset", status_code=204, response_class=Response)
    async def reset() -> Response:
        """Forget every session and message, and begin anew what goes by turns."""
        lab.reset()
        return Response(status_code=204)


def _find(name: str) -> Scenario:
    if name == CAPTURE.card.name:
        return CAPTURE.card
    if name in SCENARIOS:
        return SCENARIOS[name]
    suggestions = UnknownScenario(name).suggestions
    meant = f"Did you mean {' or '.join(suggestions)}? " if suggestions else ""
    raise ProblemError(
        Problem(
            kind=ProblemKind.UNKNOWN_SCENARIO,
            detail="The lab has no scenario of this name.",
            next=f"{meant}GET /api/v1/lab/scenarios lists all.",
            also={"suggestions": [*suggestions]},
        )
    )


def _message(card: Scenario, kept: Sequence[ReceivedMessage], number: int) -> ReceivedMessage:
    if 1 <= number <= len(kept):
        return kept[number - 1]
    raise ProblemError(
        Problem(
            kind=ProblemKind.UNKNOWN_MESSAGE,
            detail=f"The receiver {card.name} keeps {len(kept)} messages.",
            next=f"GET /api/v1/lab/scenarios/{card.name}/messages lists them, from number 1 on.",
        )
    )


def _scenario_json(lab: Lab, card: Scenario) -> dict[str, Json]:
    scripted = LAB_SCENARIOS.get(card.name)
    return {
        **card_json(card),
        "listens": to_json(lab.endpoints.get(card.name)),
        "unavailable": why_unavailable(scripted) if scripted else None,
    }


def _page(items: Sequence[object], offset: int, limit: int) -> dict[str, Json]:
    return {
        "total": len(items),
        "offset": offset,
        "items": [to_json(item) for item in items[offset : offset + limit]],
    }


async def _crl(lab: Lab) -> bytes:
    return await asyncio.to_thread(lab.authority.crl_path.read_bytes)
