"""The page of destinations: each domain's newest evidence under the five settings, as a grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response

from relay.audit.record_words import seen_words
from relay.core.addresses import Domain
from relay.core.evidence import TlsEvidence
from relay.core.settings import TlsSetting
from relay.formats.report import Mark
from relay.tls.trust import TrustError
from relay.web.evidence_query import DomainEvidence, evidence_of
from relay.web.pages_kit import Badge, Pages
from relay.web.pages_way import CellView, cell_of
from relay.web.served import ServedRelay

PAGE: Final = 25
_MAX_OFFSET: Final = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRow:
    """One domain: `seen` are its hosts, each with what its newest session saw."""

    domain: Domain
    messages: int
    latest: str
    setting: str
    seen: tuple[tuple[str, str], ...]
    cells: tuple[CellView, ...]


def destination_pages(served: ServedRelay, pages: Pages) -> APIRouter:
    """Return the route `/destinations`."""
    router = APIRouter(include_in_schema=False)

    @router.get("/destinations")
    async def destinations(request: Request) -> Response:
        offset = _number(request.query_params.get("offset", ""))
        return await pages.answer(
            lambda: pages.response(
                "destinations.html",
                here="/destinations",
                rows=(rows := _rows(served, offset)),
                offset=offset,
                older=offset + PAGE if len(rows) == PAGE else None,
            ),
            here="/destinations",
        )

    return router


def _rows(served: ServedRelay, offset: int) -> list[DestinationRow]:
    policy = served.relay.policy
    rows = []
    for counted in served.journal.domains(PAGE, offset=offset):
        try:
            evidence = evidence_of(served, counted.domain)
        except TrustError:
            evidence = DomainEvidence(domain=counted.domain, record=None, settings=())
        way = policy.way(counted.domain, sender=None)
        rows.append(
            DestinationRow(
                domain=counted.domain,
                messages=counted.messages,
                latest=counted.latest,
                setting=way.tls.policy.setting.label,
                seen=tuple(
                    (str(host.hop), _seen(host.evidence))
                    for host in (evidence.record.seen if evidence.record else ())
                ),
                cells=tuple(cell_of(each) for each in evidence.settings) or _UNKNOWN,
            )
        )
    return rows


def _seen(evidence: TlsEvidence | None) -> str:
    return "not reached" if evidence is None else seen_words(evidence)


def _number(given: str) -> int:
    if not (given.isascii() and given.isdigit()):
        return 0
    return _MAX_OFFSET if len(given) > 9 else min(int(given), _MAX_OFFSET)


_UNKNOWN: Final = tuple(
    CellView(
        setting=setting.label,
        badge=Badge(text="unknown", mark=Mark.UNKNOWN),
        meaning="nothing was tried there",
    )
    for setting in TlsSetting
)
