"""What is on record of a domain's hosts: the newest of each kind, out of attempts or of probes.

    DomainRecord ──< HostRecord       a host's newest evidence, or why there is none
                        └──< Answer   what the host said to a message, by recipient

Records are values with a JSON form: `relay check --save` writes them on a machine that reaches a
host, and another machine's `relay what-if` reads them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from relay.core.addresses import Domain, parse_address
from relay.core.destinations import ToCapture
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.outcomes import (
    Deferred,
    Failed,
    Failure,
    LocalProblem,
    LocalRefusal,
    Outcome,
    Stage,
)
from relay.core.records import Attempt, Session
from relay.core.routing import Hop, RouteMatch, RouteOrigin
from relay.core.settings import Protection, TlsSetting
from relay.core.transcripts import Direction
from relay.core.verdicts import Deliver


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host said to a message for `recipient`; it may say otherwise under TLS.

    `logged_in` says that the session had logged in, or that it ended with the attempt to: behind a
    log-in a host may say otherwise, too.
    """

    recipient: str
    in_clear: bool
    outcome: Outcome
    logged_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRecord:
    """What is on record of one host.

    `evidence` is of the newest session that tried TLS or found it missing; one in clear text only
    where there is no other. `failure` says why the newest session could not be judged, and then
    there may be no evidence; `broke_under_tls` that it broke after the handshake. `login` is the
    newest answer of a session that was to log in, None where none was.
    """

    hop: Hop
    at: datetime
    evidence: TlsEvidence | None = None
    failure: Failure | None = None
    broke_under_tls: bool = False
    answers: tuple[Answer, ...] = ()
    login: Answer | None = None


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


SessionOf = Callable[[str], Session | None]
"""Returns the session of an id; None where it is not on record any more."""


class Gathering:
    """Gathers what attempts show, in any order: of each domain and route the newest.

    Holds a few attempts for each host, and the answer to each recipient, however many come.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[Domain, str], _Gathered] = {}

    def add(self, attempt: Attempt) -> None:
        """Take in an attempt."""
        domain = parse_address(attempt.outcomes[0].recipient).domain
        found = self._found.setdefault((domain, attempt.route), _Gathered())
        is_newest = attempt.ended_at >= found.at
        if attempt.hop is not None:
            if is_newest:
                found.at, found.hosts, found.problem = attempt.ended_at, attempt.hosts or None, None
            found.seen.setdefault(attempt.hop, _Host(attempt.hop, attempt)).learn(attempt)
            return
        failure = getattr(attempt.outcomes[0].outcome, "failure", None)
        if failure is None or _is_suppression(failure):
            # Dropped, or refused for the recipient's sake: it says nothing of the domain.
            return
        if is_newest:
            found.at, found.hosts, found.problem = attempt.ended_at, (), failure

    def records(self, session_of: SessionOf) -> Iterator[DomainRecord]:
        """Yield what was gathered; only sessions that count are asked for."""
        for (domain, route), found in self._found.items():
            if found.seen or found.problem is not None:
                yield DomainRecord(
                    domain=domain,
                    route=route,
                    hosts=found.hosts,
                    problem=found.problem,
                    seen=tuple(host.record(session_of) for host in found.seen.values()),
                )


_NO: Final = datetime.min.replace(tzinfo=UTC)
_LOGS_IN: Final = TlsSetting.REQUIRED_VERIFY
"""The setting of email relays that may be logged in to."""


@dataclass(slots=True)
class _Gathered:
    at: datetime = _NO
    hosts: tuple[Hop, ...] | None = None
    problem: Failure | None = None
    seen: dict[Hop, _Host] = field(default_factory=dict)


@dataclass(slots=True)
class _Host:
    hop: Hop
    newest: Attempt
    tried_tls: Attempt | None = None
    answers: dict[tuple[str, bool, bool], _Answered] = field(default_factory=dict)

    def learn(self, attempt: Attempt) -> None:
        if attempt.ended_at >= self.newest.ended_at:
            self.newest = attempt
        may_try = not attempt.clear and attempt.rule.setting is not TlsSetting.OFF
        if may_try and (self.tried_tls is None or attempt.ended_at >= self.tried_tls.ended_at):
            self.tried_tls = attempt
        if isinstance(attempt.verdict, Deliver):
            in_clear = attempt.verdict.protection is Protection.CLEAR
            # Only an email relay is logged in to, and only where its certificate was verified.
            may_log_in = bool(attempt.sent_by) and attempt.rule.setting is _LOGS_IN
            for each in attempt.outcomes:
                key = each.recipient, in_clear, may_log_in
                known = self.answers.get(key)
                if known is None or attempt.ended_at >= known.at:
                    answer = Answer(
                        recipient=each.recipient, in_clear=in_clear, outcome=each.outcome
                    )
                    session = attempt.session_id if may_log_in else None
                    self.answers[key] = _Answered(attempt.ended_at, answer, session)

    def record(self, session_of: SessionOf) -> HostRecord:
        evidence = _evidence(self.newest, session_of)
        if self.tried_tls is not self.newest and (evidence is None or _says_nothing(evidence)):
            evidence = _evidence(self.tried_tls, session_of) or evidence
        failure = None
        if self.newest.verdict is None:
            failure = getattr(self.newest.outcomes[0].outcome, "failure", None)
        answered = sorted(self.answers.values(), key=lambda each: each.at)
        answers = tuple(each.told(session_of) for each in answered)
        return HostRecord(
            hop=self.hop,
            at=self.newest.ended_at,
            evidence=evidence,
            failure=failure,
            broke_under_tls=failure is not None
            and evidence is not None
            and isinstance(evidence.handshake, HandshakeDone),
            answers=answers,
            login=next((answer for answer in reversed(answers) if answer.logged_in), None),
        )


@dataclass(frozen=True, slots=True)
class _Answered:
    """An answer and its time; `session_id` is None where nobody can have logged in."""

    at: datetime
    answer: Answer
    session_id: str | None

    def told(self, session_of: SessionOf) -> Answer:
        """Return the answer, with what its session says of a log-in."""
        logged_in = is_about_login(self.answer.outcome) or (
            self.session_id is not None and _logged_in(self.session_id, session_of)
        )
        return replace(self.answer, logged_in=logged_in)


def is_about_login(outcome: Outcome) -> bool:
    """Whether a log-in is what a message failed for, or that the host takes none."""
    match outcome:
        case Deferred(failure=failure) | Failed(failure=failure):
            no_auth = (
                isinstance(failure, LocalRefusal)
                and failure.problem is LocalProblem.AUTH_UNAVAILABLE
            )
            return failure.stage is Stage.AUTH or no_auth
        case _:
            return False


def _logged_in(session_id: str, session_of: SessionOf) -> bool:
    """Whether a session logged in, or the first one of its connection."""
    session = session_of(session_id)
    if session is not None and session.continues is not None:
        session = session_of(session.continues)
    return session is not None and any(
        line.direction is Direction.SENT and line.text.upper().startswith("AUTH ")
        for line in session.transcript
    )


def _evidence(attempt: Attempt | None, session_of: SessionOf) -> TlsEvidence | None:
    if attempt is None or attempt.session_id is None:
        return None
    session = session_of(attempt.session_id)
    return session.evidence if session else None


class Records:
    """Everything that is known, for a forecast to look up: newer records before older ones."""

    def __init__(self, records: Iterable[DomainRecord] = ()) -> None:
        self._by_domain: defaultdict[tuple[Domain, str | None], list[DomainRecord]]
        self._by_domain = defaultdict(list)
        self._by_route: dict[str, DomainRecord] = {}
        self._answers: dict[int, Mapping[tuple[Hop, str, bool, bool], Outcome]] = {}
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
        self, record: DomainRecord, hop: Hop, recipient: str, *, in_clear: bool, logged_in: bool
    ) -> Outcome | None:
        """Return what a host said last to a message for `recipient`; None where it isn't known."""
        index = self._answers.get(id(record))
        if index is None:
            index = {
                (host.hop, each.recipient, each.in_clear, each.logged_in): each.outcome
                for host in record.seen
                for each in host.answers
            }
            self._answers[id(record)] = index
        return index.get((hop, recipient, in_clear, logged_in))


def newest(record: DomainRecord) -> datetime:
    """Return when the newest part of a record was made."""
    return max((host.at for host in record.seen), default=_NO)


def _is_suppression(failure: Failure) -> bool:
    return isinstance(failure, LocalRefusal) and failure.problem is LocalProblem.SUPPRESSED


def _says_nothing(evidence: TlsEvidence) -> bool:
    """Whether a session saw no more of a host's TLS than that it was offered."""
    return evidence.starttls_offered is True and not evidence.starttls_sent
