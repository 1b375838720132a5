"""All pages of the management port."""

from __future__ import annotations

from fastapi import APIRouter

from relay.web.pages_bounces import bounce_pages
from relay.web.pages_destinations import destination_pages
from relay.web.pages_kit import Pages
from relay.web.pages_lab import lab_pages
from relay.web.pages_live import live_pages
from relay.web.pages_mail import mail_pages
from relay.web.pages_policy import policy_pages
from relay.web.served import ServedRelay


def page_routers(served: ServedRelay, pages: Pages) -> list[APIRouter]:
    """Return the pages' routes, whose paths are whole."""
    return [
        pages.static_router(),
        mail_pages(served, pages),
        bounce_pages(served, pages),
        destination_pages(served, pages),
        policy_pages(served, pages),
        lab_pages(served, pages),
        live_pages(served, pages),
    ]
