"""What a policy would make of a message, told from the record: the engine's loop without I/O.

The same `Policy.way`, `Policy.plan` and `next_step` decide as when mail is sent; where the engine
would open a session, the record is read. Where the record does not say, that is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, assert_never

from relay.audit.on_record import DomainRecord, HostRecord, Records, is_about_login
from relay.core.addresses import Domain
from relay.core.bounces import EXPIRED
from relay.core.codebook import CodeEntry
from relay.core.delivery import Policy, Way
from relay.core.destinations import ToNowhere
from relay.core.evidence import TlsEvidence
from relay.core.outcomes import (
    Delivered,
    Failure,
    Outcome,
    TlsRefusal,
    outcome_of,
)
from relay.core.rejudging import NotObserved, Unseen
from relay.core.replies import ReplyMode
from relay.core.routing import ONE_TRY, Hop, HostAddress, Plan
from relay.core.settings import Protection, Starttls
from relay.core.steps import (
    Done,
    GiveUp,
    InClear,
    NoHost,
    Tried,
    Try,
    Wait,
    judged_under,
    next_step,
)
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Deliver, RetryInClear, Terminate, Verdict
from relay.tls.rejudge import rejudge
from relay.tls.trust import TrustStores

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""A forecast is of one round, which needs no time: it begins and ends at once, some day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """The policy lets the message go to `hop`, protected like this.

    `delivered`: the host has taken mail for the recipient in such a session. Otherwise its answer
    is not on record.
    """

    kind: Literal["passes"] = "passes"
    protection: Protection
    hop: Hop
    delivered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """What becomes of queued mail as long as a failure lasts: how often it is tried again.

    `within` is the time until it is given up; `end` is what is reported then.
    """

    retries: int
    within: timedelta
    end: CodeEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """The message is not delivered: the failure, and the code and text that it is reported with.

    `queued` is None where that is final, or the client's own to try again.
    """

    kind: Literal["refused"] = "refused"
    failure: Failure
    entry: CodeEntry
    hop: Hop | None
    queued: Queued | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """No host is asked, and the message reads as sent: so the policy says of its domain."""

    kind: Literal["dropped"] = "dropped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The record does not say; `hop` is the host that it would have to be known of.

    `route` is where the mail goes, where no session there is on record at all.
    """

    kind: Literal["unknown"] = "unknown"
    what: Unseen
    hop: Hop | None = None
    route: str | None = None


Forecast = Passes | Refused | Dropped | Unknown


def forecast(
    known: Records,
    policy: Policy,
    *,
    domain: Domain,
    sender: Domain | None = None,
    recipient: str | None,
    stores: TrustStores,
    at: datetime | None = None,
) -> Forecast:
    """Tell what the first round under `policy` makes of a message to `domain`.

    `sender` is the domain of the reverse path, None for the null one. `recipient` is the address
    whose host's answers count, None where none is asked about. Of several records the first that
    suffices is believed. `at` is when the mail would be sent, None for the time of the record: what
    a certificate is worth changes with time, and which one a host has by now is not on record.
    Raises TrustError where a file that the policy trusts can't be used.
    """
    way = policy.way(domain, sender=sender)
    if isinstance(way.route.to, ToNowhere):
        return Dropped()
    told: Forecast = Unknown(what=Unseen.DOMAIN, route=str(way.route.to))
    for place, record in enumerate(known.of(domain, way.route)):
        reader = _Reader(
            known=known,
            record=record,
            policy=policy,
            way=way,
            recipient=recipient,
            domain=domain,
            stores=stores,
            at=at,
        )
        this = reader.forecast()
        if not isinstance(this, Unknown):
            return this
        told = this if place == 0 else told
    return told


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Plays a round against one record."""

    known: Records
    record: DomainRecord
    policy: Policy
    way: Way
    recipient: str | None
    domain: Domain
    stores: TrustStores
    at: datetime | None

    def forecast(self) -> Forecast:
        plan = self._plan()
        if plan is None:
            return Unknown(what=Unseen.DOMAIN, route=str(self.way.route.to))
        history: list[Tried] = []
        while True:
            step = next_step(history, plan, accepted_at=_EPOCH, now=_EPOCH)
            match step:
                case Try():
                    result = self._attempt(step, self.way.tls.policy)
                    if isinstance(result, Passes | Unknown):
                        return result
                    history.append(result)
                case NoHost(failure=failure):
                    history.append(_tried(step.round, None, outcome_of(failure)))
                case Wait(failure=cause) | GiveUp(cause=cause):
                    if self.record.hosts is None:
                        return Unknown(what=Unseen.HOSTS)
                    return Refused(
                        failure=cause,
                        entry=self.policy.codes.entry(cause),
                        hop=_hop_of(cause, history),
                        queued=self._queued(plan) if isinstance(step, Wait) else None,
                    )
                case Done():
                    raise AssertionError("a delivery is told as soon as it is found")
                case _:
                    assert_never(step)

    def _plan(self) -> Plan | None:
        """Return the plan that the engine would make; None where the record has no hosts."""
        record, delivery = self.record, self.policy.delivery
        hosts = tuple(h.hop for h in record.seen) if record.hosts is None else record.hosts
        answers = tuple(
            HostAddress(name=h.host, address=h.address, port=h.port, mode=h.mode) for h in hosts
        )
        if not answers and record.problem is None:
            return None
        schedule = delivery.schedule if delivery.reply is ReplyMode.QUEUED else ONE_TRY
        return self.policy.plan(self.way, answers or record.problem or (), schedule)

    def _queued(self, plan: Plan) -> Queued:
        schedule = plan.schedule
        return Queued(
            retries=len(schedule.delays),
            within=schedule.expire_after or sum(schedule.delays, timedelta()),
            end=self.policy.codes.entry(EXPIRED),
        )

    def _attempt(self, step: Try, policy: TlsPolicy) -> Tried | Passes | Unknown:
        known = self.record.host(step.hop)
        if known is None:
            return Unknown(what=Unseen.HOST, hop=step.hop)
        under = judged_under(policy, step.in_clear)
        if known.failure is not None:
            if known.broke_under_tls and under.starttls is Starttls.NEVER:
                return Unknown(what=Unseen.CLEAR_SESSION, hop=step.hop)
            return _tried(step.round, step, outcome_of(known.failure))
        if known.evidence is None:
            return Unknown(what=Unseen.HOST, hop=step.hop)
        verdict = self._verdict(known.evidence, under, step.hop)
        if self._time_changes(verdict, known.evidence, under, step.hop):
            return Unknown(what=Unseen.RENEWAL, hop=step.hop)
        match verdict:
            case NotObserved(what=what):
                return Unknown(what=what, hop=step.hop)
            case Terminate(faults=faults) | RetryInClear(faults=faults):
                refusal = TlsRefusal.by(
                    under.setting, faults, peer_reply=known.evidence.starttls_reply
                )
                return _tried(step.round, step, outcome_of(refusal), verdict)
            case Deliver():
                return self._admitted(step, verdict, known)
            case _:
                assert_never(verdict)

    def _verdict(
        self, evidence: TlsEvidence, policy: TlsPolicy, hop: Hop, *, at: datetime | None = None
    ) -> Verdict | NotObserved:
        return rejudge(
            evidence,
            policy,
            host=hop.host,
            recipient_domain=self.domain,
            stores=self.stores,
            at=at,
        ).verdict

    def _time_changes(
        self, verdict: Verdict | NotObserved, evidence: TlsEvidence, policy: TlsPolicy, hop: Hop
    ) -> bool:
        """Whether the same certificate would be judged otherwise by the time of the mail."""
        if self.at is None or self.at <= evidence.observed_at or not policy.verifies:
            return False
        return self._verdict(evidence, policy, hop, at=self.at).kind != verdict.kind

    def _admitted(self, step: Try, verdict: Deliver, known: HostRecord) -> Tried | Passes:
        in_clear = verdict.protection is Protection.CLEAR
        relay = self.way.route.email_relay
        logged_in = relay is not None and relay.credentials is not None
        if logged_in and known.login is not None and is_about_login(known.login.outcome):
            # It fails for every recipient alike.
            return _tried(step.round, step, known.login.outcome, verdict)
        answer: Outcome | None = None
        if self.recipient is not None:
            answer = self.known.answer(
                self.record, known.hop, self.recipient, in_clear=in_clear, logged_in=logged_in
            )
        match answer:
            case None | Delivered():
                delivered = answer is not None
                return Passes(protection=verdict.protection, hop=step.hop, delivered=delivered)
            case _:
                return _tried(step.round, step, answer, verdict)


def _hop_of(cause: Failure, history: list[Tried]) -> Hop | None:
    """Return the host that a failure is of: with several, the last one's need not be the cause."""
    ended = (t for t in reversed(history) if getattr(t.outcome, "failure", None) == cause)
    return next((tried.hop for tried in ended), None)


def _tried(
    number: int, step: Try | None, outcome: Outcome, verdict: Verdict | None = None
) -> Tried:
    return Tried(
        round=number,
        hop=step.hop if step else None,
        clear=step is not None and step.in_clear is InClear.NOW,
        verdict=verdict,
        outcome=outcome,
        ended_at=_EPOCH,
    )
