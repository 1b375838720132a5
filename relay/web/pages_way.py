"""A message's way as its page shows it, made from the records alone.

Way ── inbound session
 └──< RecipientWay     where it stands, and why
         └──< TryView  a rule, a host, what was seen, the chain, the verdict, the outcome
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from relay.audit.check_stages import TimedStage, stages_of
from relay.audit.check_verdicts import SettingVerdict
from relay.audit.check_words import link_words, validity_words, verdict_mark, verdict_meaning
from relay.audit.on_record import Gathering, newest
from relay.audit.record_words import outcome_words
from relay.audit.story import attempts_of, bounce_of, outcome_of, seen, tested_words, verdict_words
from relay.core.addresses import parse_address
from relay.core.advisory_cards import AdvisoryCard, advisory_card
from relay.core.evidence import TlsEvidence
from relay.core.fault_cards import FaultCard, card
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, Bounce, Session
from relay.core.settings import Protection
from relay.core.verdicts import Deliver
from relay.formats.report import Mark
from relay.journal.api import MessageRecord, RecipientState, RecipientStatus
from relay.tls.probing_chain import Validity, view_chain
from relay.tls.trust import TrustStores
from relay.tls.trust_store import TrustStore
from relay.web.evidence_query import settings_of, trust_stores
from relay.web.pages_kit import Badge
from relay.web.served import ServedRelay

_PROTECTION_MARK = {
    Protection.CLEAR: Mark.WARNING,
    Protection.ENCRYPTED: Mark.GOOD,
    Protection.VERIFIED: Mark.GOOD,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkView:
    """One certificate of a chain: `broken` marks where trust ends; `leads` says what is behind."""

    title: str
    subject: str
    names: tuple[str, ...]
    validity: str
    key: str
    in_time: bool
    leads: str
    broken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultView:
    """A fault or an advisory: its name, what was found, what it means, who must do what."""

    name: str
    detail: str
    meaning: str
    remedy: str
    result_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TryView:
    """One try of one message at one host, for one recipient."""

    attempt: Attempt
    session: Session | None
    badge: Badge
    seen: str
    verdict: str
    outcome: str
    tested: str | None
    chain: tuple[LinkView, ...]
    faults: tuple[FaultView, ...]
    advisories: tuple[FaultView, ...]
    stages: tuple[TimedStage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CellView:
    """What one setting makes of it."""

    setting: str
    badge: Badge
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientWay:
    """One recipient: `settings` is what each of the five would make of what was seen."""

    status: RecipientStatus
    badge: Badge
    bounce: Bounce | None
    tries: tuple[TryView, ...]
    settings: tuple[CellView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """A whole message's way."""

    record: MessageRecord
    inbound: Session | None
    outbound: tuple[Session, ...]
    recipients: tuple[RecipientWay, ...]


def way_of(served: ServedRelay, record: MessageRecord) -> Way:
    """Return a message's way; raises TrustError where a file that is trusted can't be used."""
    own = record.envelope.session_id
    stores = trust_stores(served)
    return Way(
        record=record,
        inbound=next((s for s in record.sessions if s.id == own), None),
        outbound=tuple(s for s in record.sessions if s.id != own),
        recipients=tuple(
            RecipientWay(
                status=status,
                badge=badge_of(record, status),
                bounce=bounce_of(record, status.recipient),
                tries=tuple(_tries(served, stores, record, status.recipient)),
                settings=_settings(served, record, status.recipient),
            )
            for status in record.recipients
        ),
    )


def badge_of(record: MessageRecord, status: RecipientStatus) -> Badge:
    """Say in a word or two where a recipient stands, and by which code or protection."""
    match status.state:
        case RecipientState.DELIVERED:
            last = next(iter(reversed(attempts_of(record, status.recipient))), None)
            ended = None if last is None else outcome_of(last, status.recipient)
            if not isinstance(ended, Delivered) or last is None or last.verdict is None:
                return Badge(text="dropped", mark=Mark.WARNING)
            return Badge(text=ended.protection.value, mark=_PROTECTION_MARK[ended.protection])
        case RecipientState.FAILED:
            bounce = bounce_of(record, status.recipient)
            return Badge(text=str(bounce.status) if bounce else "failed", mark=Mark.BAD)
        case RecipientState.QUEUED:
            bounce = bounce_of(record, status.recipient)
            code = f", {bounce.cause_status}" if bounce else ""
            return Badge(text=f"queued{code}", mark=Mark.WARNING if bounce else Mark.PLAIN)
        case RecipientState.INLINE:
            return Badge(text="in hand", mark=Mark.PLAIN)
        case RecipientState.ABANDONED:
            return Badge(text="abandoned", mark=Mark.UNKNOWN)
        case _:
            assert_never(status.state)


def cell_of(verdict: SettingVerdict) -> CellView:
    """Return what a setting makes of evidence, for a grid."""
    return CellView(
        setting=verdict.setting.label,
        badge=Badge(text=verdict.word, mark=verdict_mark(verdict)),
        meaning=verdict_meaning(verdict),
    )


def chain_of(evidence: TlsEvidence, store: TrustStore) -> Iterator[LinkView]:
    """Yield the certificates that a host sent, its own one first."""
    view = view_chain(evidence.chain, store=store, at=evidence.observed_at)
    for number in view.unreadable:
        yield LinkView(
            title=f"Certificate {number}",
            subject="can't be read",
            names=(),
            validity="",
            key="",
            in_time=False,
            leads="",
            broken=True,
        )
    for link in view.links:
        leads, broken = link_words(link, view)
        yield LinkView(
            title="The host's own certificate"
            if link.number == 1
            else f"Certificate {link.number}",
            subject=link.subject,
            names=link.names,
            validity=validity_words(link, evidence.observed_at),
            key=f"{link.key}, signed with {link.signature}",
            in_time=link.validity is Validity.VALID,
            leads=leads,
            broken=broken,
        )


def _tries(
    served: ServedRelay, stores: TrustStores, record: MessageRecord, recipient: str
) -> Iterator[TryView]:
    sessions = {session.id: session for session in record.sessions}
    way = served.relay.policy.way(parse_address(recipient).domain, sender=None)
    store = stores.store(way.tls.policy.trust)
    for attempt in attempts_of(record, recipient):
        session = sessions.get(attempt.session_id or "")
        outcome = outcome_of(attempt, recipient)
        evidence = session.evidence if session else None
        faults = session.faults if session else ()
        yield TryView(
            attempt=attempt,
            session=session,
            badge=_try_badge(attempt, recipient),
            seen=seen(evidence, faults),
            verdict=verdict_words(attempt.verdict, outcome),
            outcome=outcome_words(outcome),
            tested=tested_words(attempt.tested) if attempt.tested else None,
            chain=tuple(chain_of(evidence, store)) if evidence else (),
            faults=tuple(
                _card_view(fault.kind.value, fault.detail, card(fault)) for fault in faults
            ),
            advisories=tuple(
                _card_view(advisory.kind.value, advisory.detail, advisory_card(advisory))
                for advisory in (session.advisories if session else ())
            ),
            stages=stages_of(session) if session else (),
        )


def _try_badge(attempt: Attempt, recipient: str) -> Badge:
    outcome = outcome_of(attempt, recipient)
    if isinstance(outcome, Delivered):
        if attempt.verdict is None:
            return Badge(text="dropped", mark=Mark.WARNING)
        return Badge(text="delivered", mark=_PROTECTION_MARK[outcome.protection])
    if isinstance(attempt.verdict, Deliver):
        return Badge(text=f"{outcome.kind} by the host", mark=Mark.BAD)
    return Badge(text=outcome.kind, mark=Mark.BAD)


def _card_view(name: str, detail: str, found: FaultCard | AdvisoryCard) -> FaultView:
    return FaultView(
        name=name,
        detail=detail,
        meaning=found.meaning,
        remedy=found.remedy,
        result_type=found.result_type.value if isinstance(found, FaultCard) else None,
    )


def _settings(served: ServedRelay, record: MessageRecord, recipient: str) -> tuple[CellView, ...]:
    """Judge what this message's own sessions saw under each setting."""
    gathering = Gathering()
    for attempt in attempts_of(record, recipient):
        gathering.add(attempt)
    sessions = {session.id: session for session in record.sessions}
    found = [*gathering.records(sessions.get)]
    if not found:
        return ()
    latest = max(found, key=newest)
    return tuple(cell_of(each) for each in settings_of(served, latest))
