"""What is on record of a domain's hosts: the newest of each kind, out of attempts or of probes.

    DomainRecord ──< HostRecord       a host's newest evidence, or why there is none
                        └──< Answer   what the host said to a message, by recipient

Records are values with a JSON form: `relay check --save` writes them on a machine that reaches a
host, and another machine's `relay what-if` reads them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from types import MappingProxyType

from relay.core.addresses import Domain, parse_address
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.outcomes import Failure, Outcome
from relay.core.records import Attempt, Session
from relay.core.routing import Hop
from relay.core.settings import Protection
from relay.core.verdicts import Deliver


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host said to a message for `recipient`; it may say otherwise under TLS."""

    recipient: str
    in_clear: bool
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What is on record of one host.

    `evidence` is of the newest session that tried TLS or found it missing; one in clear text only
    where there is no other. `failure` says why the newest session could not be judged, and then
    there may be no evidence; `broke_under_tls` that it broke after the handshake.
    """

    hop: Hop
    at: datetime
    evidence: TlsEvidence | None = None
    failure: Failure | None = None
    broke_under_tls: bool = False
    answers: tuple[Answer, ...] = ()

    def answer(self, recipient: str, *, in_clear: bool) -> Outcome | None:
        """Return what the host said last, None where that is not on record."""
        return next(
            (a.outcome for a in self.answers if (a.recipient, a.in_clear) == (recipient, in_clear)),
            None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRecord:
    """What is on record of a domain.

    `route` is the destination as attempts name it, None for a record that was made apart from any
    policy. `hosts` are all that the domain had when it was last looked up, in order; None where the
    record does not say. Without hosts, `problem` says why. `seen` has each host once.
    """

    domain: Domain
    route: str | None
    hosts: tuple[Hop, ...] | None
    problem: Failure | None = None
    seen: tuple[HostRecord, ...] = ()

    def host(self, hop: Hop) -> HostRecord | None:
        """Return what is on record of a host."""
        return next((known for known in self.seen if known.hop == hop), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An attempt with the session that it was made in."""

    attempt: Attempt
    session: Session | None


def on_record(entries: Iterable[Entry]) -> Mapping[Domain, DomainRecord]:
    """Gather what attempts show, given oldest first; of each domain its newest route counts."""
    found: dict[Domain, DomainRecord] = {}
    for entry in entries:
        domain = parse_address(entry.attempt.outcomes[0].recipient).domain
        known = found.get(domain)
        if known is None or known.route != entry.attempt.route:
            known = DomainRecord(domain=domain, route=entry.attempt.route, hosts=None)
        found[domain] = _with(known, entry)
    return MappingProxyType(found)


def _with(known: DomainRecord, entry: Entry) -> DomainRecord:
    attempt = entry.attempt
    if attempt.hop is None:
        problem = getattr(attempt.outcomes[0].outcome, "failure", None)
        return replace(known, hosts=(), problem=problem)
    host = known.host(attempt.hop) or HostRecord(hop=attempt.hop, at=attempt.ended_at)
    others = tuple(other for other in known.seen if other.hop != attempt.hop)
    return replace(
        known,
        hosts=attempt.hosts or None,
        problem=None,
        seen=(*others, _learn(host, entry)),
    )


def _learn(known: HostRecord, entry: Entry) -> HostRecord:
    attempt = entry.attempt
    evidence = entry.session.evidence if entry.session else None
    failure = None
    if attempt.verdict is None:
        failure = getattr(attempt.outcomes[0].outcome, "failure", None)
    if evidence is None or (known.evidence is not None and _says_nothing(evidence)):
        evidence = known.evidence
    return HostRecord(
        hop=known.hop,
        at=attempt.ended_at,
        evidence=evidence,
        failure=failure,
        broke_under_tls=failure is not None
        and evidence is not None
        and isinstance(evidence.handshake, HandshakeDone),
        answers=_answers(known.answers, attempt),
    )


def _answers(known: tuple[Answer, ...], attempt: Attempt) -> tuple[Answer, ...]:
    if not isinstance(attempt.verdict, Deliver):
        return known
    in_clear = attempt.verdict.protection is Protection.CLEAR
    new = {each.recipient: each.outcome for each in attempt.outcomes}
    kept = tuple(a for a in known if a.in_clear is not in_clear or a.recipient not in new)
    return kept + tuple(
        Answer(recipient=recipient, in_clear=in_clear, outcome=outcome)
        for recipient, outcome in new.items()
    )


def _says_nothing(evidence: TlsEvidence) -> bool:
    """Whether a session saw no more of a host's TLS than that it was offered."""
    return evidence.starttls_offered is True and not evidence.starttls_sent
