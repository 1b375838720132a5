"""What is on record of a domain's hosts: the newest of each kind, out of attempts or of probes.

    DomainRecord ──< HostRecord       a host's newest evidence, or why there is none
                        └──< Answer   what the host said to a message, by recipient

Records are values with a JSON form: `relay check --save` writes them on a machine that reaches a
host, and another machine's `relay what-if` reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from relay.core.addresses import Domain, parse_address
from relay.core.destinations import ToCapture
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.outcomes import Failure, LocalProblem, LocalRefusal, Outcome
from relay.core.records import Attempt, Session
from relay.core.routing import Hop, RouteMatch, RouteOrigin
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


class Gathering:
    """Gathers what attempts show, in any order: of each domain and route the newest.

    Holds one record for each host, and the answer to each recipient, however many attempts come.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Domain, str], _Gathered] = {}

    def add(self, entry: Entry) -> None:
        """Take in an attempt."""
        attempt = entry.attempt
        domain = parse_address(attempt.outcomes[0].recipient).domain
        found = self._found.setdefault((domain, attempt.route), _Gathered())
        is_newest = attempt.ended_at >= found.at
        if attempt.hop is not None:
            if is_newest:
                found.at, found.hosts, found.problem = attempt.ended_at, attempt.hosts or None, None
            known = found.seen.pop(attempt.hop, None) or _Host(HostRecord(hop=attempt.hop, at=_NO))
            known.learn(entry)
            found.seen[attempt.hop] = known
            return
        failure = getattr(attempt.outcomes[0].outcome, "failure", None)
        if failure is None or _is_suppression(failure):
            # Dropped, or refused for the recipient's sake: it says nothing of the domain.
            return
        if is_newest:
            found.at, found.hosts, found.problem = attempt.ended_at, (), failure

    def records(self) -> Iterator[DomainRecord]:
        """Yield what was gathered."""
        for (domain, route), found in self._found.items():
            if found.seen or found.problem is not None:
                yield DomainRecord(
                    domain=domain,
                    route=route,
                    hosts=found.hosts,
                    problem=found.problem,
                    seen=tuple(host.record() for host in found.seen.values()),
                )


_NO: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(slots=True)
class _Gathered:
    at: datetime = _NO
    hosts: tuple[Hop, ...] | None = None
    problem: Failure | None = None
    seen: dict[Hop, _Host] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    known: HostRecord
    answers: dict[tuple[str, bool], Answer] = field(default_factory=dict)

    def record(self) -> HostRecord:
        return replace(self.known, answers=tuple(self.answers.values()))

    def learn(self, entry: Entry) -> None:
        attempt = entry.attempt
        if attempt.ended_at < self.known.at:
            return
        evidence = entry.session.evidence if entry.session else None
        failure = None
        if attempt.verdict is None:
            failure = getattr(attempt.outcomes[0].outcome, "failure", None)
        if evidence is None or (self.known.evidence is not None and _says_nothing(evidence)):
            evidence = self.known.evidence
        self.known = HostRecord(
            hop=self.known.hop,
            at=attempt.ended_at,
            evidence=evidence,
            failure=failure,
            broke_under_tls=failure is not None
            and evidence is not None
            and isinstance(evidence.handshake, HandshakeDone),
        )
        if isinstance(attempt.verdict, Deliver):
            in_clear = attempt.verdict.protection is Protection.CLEAR
            for each in attempt.outcomes:
                self.answers[each.recipient, in_clear] = Answer(
                    recipient=each.recipient, in_clear=in_clear, outcome=each.outcome
                )


class Records:
    """Everything that is known, for a forecast to look up: newer records before older ones."""

    def __init__(self, records: Iterable[DomainRecord] = ()) -> None:
        self._by_domain: defaultdict[tuple[Domain, str | None], list[DomainRecord]]
        self._by_domain = defaultdict(list)
        self._by_route: dict[str, DomainRecord] = {}
        self._answers: dict[int, Mapping[tuple[Hop, str, bool], Outcome]] = {}
        for record in sorted(records, key=newest, reverse=True):
            self.add_older(record)

    def add_older(self, record: DomainRecord) -> None:
        """Add a record that counts only where those before leave something unknown."""
        self._by_domain[record.domain, record.route].append(record)
        if record.route is not None:
            self._by_route.setdefault(record.route, record)

    def of(self, domain: Domain, route: RouteMatch) -> tuple[DomainRecord, ...]:
        """Return what may tell of mail that goes to `domain` by `route`; the best first.

        A record that was made apart from any policy counts where no other does; and before mail
        that was captured for lack of a route. Where all is said of one destination, what other
        domains' mail there showed counts as well.
        """
        own = self._by_domain.get((domain, str(route.to)), [])
        apart = self._by_domain.get((domain, None), [])
        found = [*apart, *own] if route.origin is RouteOrigin.CAPTURE else [*own, *apart]
        shared = self._by_route.get(str(route.to))
        if not found and shared is not None and not isinstance(route.to, ToCapture):
            found = [shared]
        return tuple(found)

    def answer(
        self, record: DomainRecord, hop: Hop, recipient: str, *, in_clear: bool
    ) -> Outcome | None:
        """Return what a host said last to a message for `recipient`; None where it isn't known."""
        index = self._answers.get(id(record))
        if index is None:
            index = {
                (host.hop, each.recipient, each.in_clear): each.outcome
                for host in record.seen
                for each in host.answers
            }
            self._answers[id(record)] = index
        return index.get((hop, recipient, in_clear))


def newest(record: DomainRecord) -> datetime:
    """Return when the newest part of a record was made."""
    return max((host.at for host in record.seen), default=_NO)


def _is_suppression(failure: Failure) -> bool:
    return isinstance(failure, LocalRefusal) and failure.problem is LocalProblem.SUPPRESSED


def _says_nothing(evidence: TlsEvidence) -> bool:
    """Whether a session saw no more of a host's TLS than that it was offered."""
    return evidence.starttls_offered is True and not evidence.starttls_sent
