"""All routes of a relay, besides those of its lab."""

from __future__ import annotations

from fastapi import APIRouter

from relay.web.mailpit import mailpit_router
from relay.web.salesforce_api import salesforce_router
from relay.web.served import ServedRelay


def relay_routers(served: ServedRelay) -> list[APIRouter]:
    """Return the routes that belong below `/api/v1`."""
    return []


def relay_roots(served: ServedRelay) -> list[APIRouter]:
    """Return the routes whose paths are whole."""
    return [
        mailpit_router(served.journal, served.relay.steering.delete),
        salesforce_router(served.journal, served.contacts),
    ]
