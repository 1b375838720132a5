"""All routes of a relay, besides those of its lab."""

from __future__ import annotations

from fastapi import APIRouter

from relay.web.bounce_routes import bounce_router
from relay.web.code_routes import code_router
from relay.web.contact_routes import contact_router
from relay.web.event_routes import event_router
from relay.web.evidence_routes import evidence_router
from relay.web.mail_routes import mail_router
from relay.web.mailpit import mailpit_router
from relay.web.metrics_routes import metrics_router
from relay.web.policy_routes import policy_router
from relay.web.salesforce_api import salesforce_router
from relay.web.served import ServedRelay
from relay.web.session_routes import attempt_router, session_router
from relay.web.wait_routes import wait_router
from relay.web.what_if_routes import what_if_router


def relay_routers(served: ServedRelay) -> list[APIRouter]:
    """Return the routes that belong below `/api/v1`."""
    return [
        mail_router(served),
        bounce_router(served),
        session_router(served),
        attempt_router(served),
        evidence_router(served),
        policy_router(served),
        what_if_router(served),
        contact_router(served),
        code_router(),
        wait_router(served),
        event_router(served),
    ]


def relay_roots(served: ServedRelay) -> list[APIRouter]:
    """Return the routes whose paths are whole."""
    return [
        metrics_router(served),
        mailpit_router(
            served.journal, served.relay.steering.delete, stopped=lambda: served.live.closed
        ),
        salesforce_router(served.journal, served.contacts),
    ]
