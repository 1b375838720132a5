"""Contacts over HTTP: who was imported, who bounced, and clearing a flag."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response

from relay.core.contacts import ContactStatus, contact_statuses, flag_of
from relay.core.jsonform import Json, to_json
from relay.web.answers import json_document
from relay.web.parameters import MailAddress
from relay.web.problems import Problem, ProblemError, ProblemKind
from relay.web.schemas import json_answer
from relay.web.served import ServedRelay

EmailPath = Annotated[MailAddress, Path(description="An address, in any case.")]


def statuses(served: ServedRelay, *, bounced: bool | None) -> tuple[ContactStatus, ...]:
    """Return contacts and leads with their bounce fields; `bounced` None is for all."""
    store = served.contacts
    found = contact_statuses(store.contacts(), served.journal.address_bounces(), store.cleared())
    return tuple(s for s in found if bounced in {None, s.is_email_bounced})


def address_json(served: ServedRelay, email: str) -> dict[str, Json] | None:
    """Return everything about one address, None where nothing is known of it."""
    store = served.contacts
    contacts, cleared_at = store.contacts(email), store.cleared_at(email)
    bounces = served.journal.address_bounces(email)
    if not contacts and not bounces and cleared_at is None:
        return None
    return {
        "email": email,
        "is_email_bounced": flag_of(bounces, cleared_at) is not None,
        "contacts": to_json(contact_statuses(contacts, bounces, store.cleared())),
        "bounces": to_json(bounces),
        "cleared_at": to_json(cleared_at),
    }


def contact_router(served: ServedRelay) -> APIRouter:
    """Return the routes below `/contacts`."""
    router = APIRouter(prefix="/contacts", tags=["contacts"])

    @router.get("", responses={200: json_answer("In the order of import.", "Contacts")})
    async def contacts(
        bounced: Annotated[
            bool | None, Query(description="Only those that are flagged, or are not.")
        ] = None,
    ) -> Response:
        """List contacts and leads with Salesforce's three fields about bounces."""
        return await json_document(lambda: to_json(statuses(served, bounced=bounced)))

    @router.get("/{email}", responses={200: json_answer("One address.", "ContactAddress")})
    async def contact(email: EmailPath) -> Response:
        """Show an address: its contacts and leads, and the bounces that count for it."""
        return await json_document(lambda: _known(served, email))

    @router.post("/{email}/clear", responses={200: json_answer("As it is now.", "ContactAddress")})
    async def clear(email: EmailPath) -> Response:
        """Confirm an address: its contacts are flagged no longer, and it gets mail again."""

        def cleared() -> Json:
            _known(served, email)
            served.contacts.clear(email, datetime.now(UTC))
            return _known(served, email)

        return await json_document(cleared)

    return router


def _known(served: ServedRelay, email: str) -> dict[str, Json]:
    if (found := address_json(served, email)) is not None:
        return found
    raise ProblemError(
        Problem(
            kind=ProblemKind.UNKNOWN_RECORD,
            detail="Nothing is known of this address.",
            next="GET /api/v1/contacts lists who was imported.",
        )
    )
