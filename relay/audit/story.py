"""Tells one recipient's way from the records: the rule, the host, what was seen, the verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from relay.core.advisories import Advisory
from relay.core.advisory_cards import advisory_card
from relay.core.evidence import HandshakeDone, HandshakeFailed, NotTried, TlsEvidence
from relay.core.failure_kinds import failure_kind
from relay.core.faults import TlsFault
from relay.core.outcomes import Deferred, Delivered, Failed, Outcome, PeerRefusal
from relay.core.records import Attempt, Bounce, Session, WouldBe
from relay.core.rejudging import NotObserved
from relay.core.settings import Protection, TlsMode
from relay.core.verdicts import Deliver, RetryInClear, Terminate, Verdict
from relay.journal.api import MessageRecord

NOTHING_SENT = "nothing of the message was sent"


def seen(evidence: TlsEvidence | None, faults: tuple[TlsFault, ...]) -> str:
    """Say in a sentence what a session saw of a host's TLS."""
    if evidence is None:
        return "no TLS was tried"
    found = "; ".join(f"{fault.kind.value}: {fault.detail}" for fault in faults)
    match evidence.handshake:
        case HandshakeDone(version=version, cipher=cipher):
            return f"{version} {cipher}; {found or 'certificate in order'}"
        case HandshakeFailed(detail=detail):
            return f"TLS handshake failed; {found or detail}"
        case NotTried() if found:
            return found
        case NotTried() if evidence.mode is TlsMode.STARTTLS and evidence.offer is None:
            return "clear text, TLS not tried"
        case NotTried():
            return "no TLS session came about"
        case _:
            assert_never(evidence.handshake)


def noted(advisory: Advisory) -> str:
    """Say in sentences what is worth a report, and who should do what about it."""
    return f"{advisory.kind.value}: {advisory.detail}. {advisory_card(advisory).remedy}"


def _way_words(protection: Protection) -> str:
    match protection:
        case Protection.CLEAR:
            return "in clear text"
        case Protection.ENCRYPTED:
            return "encrypted, certificate not verified"
        case Protection.VERIFIED:
            return "encrypted and verified"
        case _:
            assert_never(protection)


def verdict_words(verdict: Verdict | None, outcome: Outcome) -> str:
    """Say what the policy decided, and what became of the message at this host."""
    match verdict:
        case None:
            return f"not judged: {NOTHING_SENT}"
        case Terminate():
            return f"session terminated: {NOTHING_SENT}"
        case RetryInClear():
            return f"session ended to retry in clear text: {NOTHING_SENT}"
        case Deliver(protection=protection):
            way = _way_words(protection)
            match outcome:
                case Delivered():
                    return f"delivered {way}"
                case Deferred(failure=PeerRefusal()) | Failed(failure=PeerRefusal()):
                    return f"allowed {way}; the host itself refused"
                case Deferred() | Failed():
                    return f"allowed {way}; not delivered"
                case _:
                    assert_never(outcome)
        case _:
            assert_never(verdict)


def tested_words(tested: WouldBe) -> str:
    """Say what a policy that is only tested would have made of a session."""
    label = tested.setting.label
    match tested.verdict:
        case Terminate():
            return f"{label} would have refused it: {tested.code} {tested.text}"
        case RetryInClear():
            return f"{label} would have gone on in clear text"
        case Deliver(protection=protection):
            return f"{label} would have let it through as well, {protection.value}"
        case NotObserved(what=what):
            return f"what {label} would have done is not known: {what.meaning}"
        case _:
            assert_never(tested.verdict)


def outcome_of(attempt: Attempt, recipient: str) -> Outcome:
    """Return how an attempt ended for one of its recipients."""
    return next(o.outcome for o in attempt.outcomes if o.recipient == recipient)


def attempts_of(record: MessageRecord, recipient: str) -> tuple[Attempt, ...]:
    """Return one recipient's attempts, oldest first."""
    return tuple(a for a in record.attempts if a.tried(recipient) is not None)


def bounce_of(record: MessageRecord, recipient: str) -> Bounce | None:
    """Return a recipient's latest bounce."""
    own = [bounce for bounce in record.bounces if bounce.recipient == recipient]
    return own[-1] if own else None


def session_of(record: MessageRecord, attempt: Attempt) -> Session | None:
    """Return the session that an attempt used."""
    return next((s for s in record.sessions if s.id == attempt.session_id), None)


def _host(attempt: Attempt, outcome: Outcome) -> str:
    """Say which host was tried, or why there was none."""
    if attempt.hop is not None:
        return f"{attempt.hop} by {attempt.route}"
    match outcome:
        case Delivered():
            return "none"
        case Deferred(failure=failure) | Failed(failure=failure):
            kind = failure_kind(failure)
            return "none" if kind is None else f"none: {kind.value}"
        case _:
            assert_never(outcome)


def story(record: MessageRecord, recipient: str) -> Iterator[tuple[str, str]]:
    """Yield a recipient's way as headed sentences; empty before the first attempt."""
    attempts = attempts_of(record, recipient)
    if not attempts:
        return
    rule, sent_by = attempts[-1].rule, attempts[-1].sent_by
    if sent_by:
        yield "Way", f"{sent_by}: {attempts[-1].route}"
    yield "Rule", f"{rule.setting.label} ({rule.file}:{rule.line}): {rule.reason}"
    for attempt in attempts:
        session = session_of(record, attempt)
        yield "Host", _host(attempt, outcome_of(attempt, recipient))
        if session is not None:
            yield "Seen", seen(session.evidence, session.faults)
            yield from (("Note", noted(advisory)) for advisory in session.advisories)
        yield "Verdict", verdict_words(attempt.verdict, outcome_of(attempt, recipient))
        if attempt.tested is not None:
            yield "Testing", tested_words(attempt.tested)
    bounce = bounce_of(record, recipient)
    if bounce is not None:
        yield "Code", f"{bounce.status} {bounce.text}"
        yield "Cause", bounce.cause
        yield "Remedy", bounce.remedy
        if bounce.will_retry_at is not None:
            yield "Retry", f"next at {bounce.will_retry_at.astimezone():%H:%M:%S}"
