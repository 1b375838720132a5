"""What is on record of a domain's hosts: the newest of each kind, out of attempts or of probes.

DomainRecord ──< HostRecord       a host's newest evidence, or why there is none
                    └──< Answer   what the host said to a message, by recipient
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from relay.core.addresses import Domain, parse_address
from relay.core.evidence import TlsEvidence
from relay.core.outcomes import Failure, Outcome
from relay.core.records import Attempt, Session
from relay.core.routing import Hop
from relay.core.settings import Protection
from relay.core.verdicts import Deliver


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerKey:
    """Whom a host answered, and whether in clear text: it may answer otherwise under TLS."""

    recipient: str
    in_clear: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What is on record of one host.

    `evidence` is of the newest session that tried TLS or found it missing; one in clear text only
    where there is no other. `failure` says why the newest session could not be judged, and then
    there may be no evidence; `broke_under_tls` that it broke after the handshake.
    """

    hop: Hop
    evidence: TlsEvidence | None = None
    failure: Failure | None = None
    broke_under_tls: bool = False
    at: datetime | None = None
    answers: Mapping[AnswerKey, Outcome] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainRecord:
    """What is on record of a domain.

    `route` is the destination as attempts name it. `hosts` are all that the domain had when it was
    last looked up, in order; None where the record does not say. Without hosts, `problem` says why.
    """

    domain: Domain
    route: str
    hosts: tuple[Hop, ...] | None
    problem: Failure | None = None
    by_hop: Mapping[Hop, HostRecord] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An attempt with the session that it was made in."""

    attempt: Attempt
    session: Session | None


def on_record(entries: Iterable[Entry]) -> Mapping[Domain, DomainRecord]:
    """Gather what attempts show, given oldest first; a domain's newest route counts."""
    by_domain: dict[Domain, list[Entry]] = {}
    for entry in entries:
        recipient = entry.attempt.outcomes[0].recipient
        by_domain.setdefault(parse_address(recipient).domain, []).append(entry)
    return MappingProxyType({d: _domain(d, found) for d, found in by_domain.items()})


def _domain(domain: Domain, entries: Sequence[Entry]) -> DomainRecord:
    newest = entries[-1].attempt
    by_hop: dict[Hop, HostRecord] = {}
    problem: Failure | None = None
    for entry in entries:
        attempt = entry.attempt
        if attempt.route != newest.route:
            continue
        if attempt.hop is None:
            problem = getattr(attempt.outcomes[0].outcome, "failure", None)
            continue
        known = by_hop.get(attempt.hop, HostRecord(hop=attempt.hop))
        by_hop[attempt.hop] = _learn(known, entry)
    return DomainRecord(
        domain=domain,
        route=newest.route,
        hosts=newest.hosts or (() if newest.hop is None else None),
        problem=problem if newest.hop is None else None,
        by_hop=MappingProxyType(by_hop),
    )


def _learn(known: HostRecord, entry: Entry) -> HostRecord:
    attempt, session = entry.attempt, entry.session
    evidence = session.evidence if session else None
    failure = None
    answers = dict(known.answers)
    if attempt.verdict is None:
        failure = getattr(attempt.outcomes[0].outcome, "failure", None)
    elif isinstance(attempt.verdict, Deliver):
        in_clear = attempt.verdict.protection is Protection.CLEAR
        for each in attempt.outcomes:
            answers[AnswerKey(recipient=each.recipient, in_clear=in_clear)] = each.outcome
    if evidence is not None and known.evidence is not None and says_nothing(evidence):
        evidence = known.evidence
    return replace(
        known,
        evidence=evidence or known.evidence,
        failure=failure,
        broke_under_tls=failure is not None
        and evidence is not None
        and evidence.handshake.kind == "done",
        at=attempt.ended_at,
        answers=MappingProxyType(answers),
    )


def says_nothing(evidence: TlsEvidence) -> bool:
    """Whether a session saw no more of a host's TLS than that it was offered."""
    return evidence.starttls_offered is True and not evidence.starttls_sent
