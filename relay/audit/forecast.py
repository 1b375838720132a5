"""What a policy would make of a message, told from the record: the engine's loop without I/O.

The same `next_step` decides as when mail is sent; where the engine would open a session, the record
is read. Where the record does not say, that is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, assert_never

from relay.audit.on_record import DomainRecord, HostRecord
from relay.audit.rejudge import rejudge
from relay.core.addresses import Domain
from relay.core.codebook import CodeEntry
from relay.core.delivery import Policy
from relay.core.outcomes import (
    Delivered,
    DnsFailure,
    DnsProblem,
    Failure,
    Outcome,
    TlsRefusal,
    outcome_of,
)
from relay.core.rejudging import NotObserved, Unseen
from relay.core.routing import ClearText, Hop, Plan
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
from relay.tls.trust import TrustStores

_NO_TIME = datetime.min.replace(tzinfo=UTC)
"""One round needs no time."""


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
class Refused:
    """The message is not delivered: the failure, and the code and text that it is reported with."""

    kind: Literal["refused"] = "refused"
    failure: Failure
    entry: CodeEntry
    hop: Hop | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The record does not say; `hop` is the host that it would have to be known of."""

    kind: Literal["unknown"] = "unknown"
    what: Unseen
    hop: Hop | None = None


Forecast = Passes | Refused | Unknown


def forecast(
    record: DomainRecord | None,
    policy: Policy,
    *,
    domain: Domain,
    recipient: str | None,
    stores: TrustStores,
) -> Forecast:
    """Tell what one round under `policy` makes of a message to `domain`.

    `record` is what is known of the domain; it counts where `policy` chooses the same route, or
    where it was made apart from any policy. `recipient` is the
    address whose host's answers count, None where none is asked about.
    """
    way = policy.way(domain, sender=None)
    if record is None or record.route != str(way.route.to):
        return Unknown(what=Unseen.DOMAIN)
    tls = way.tls.policy
    known_hosts = tuple(h.hop for h in record.seen) if record.hosts is None else record.hosts
    plan = Plan(
        hops=known_hosts,
        problem=record.problem or DnsFailure(problem=DnsProblem.NO_HOST, name=domain),
        clear_text=policy.routing.clear_text if tls.allows_clear else ClearText.NEVER,
    )
    reader = _Reader(record=record, recipient=recipient, domain=domain, stores=stores)
    history: list[Tried] = []
    while True:
        step = next_step(history, plan, accepted_at=_NO_TIME, now=_NO_TIME)
        match step:
            case Try():
                result = reader.attempt(step, tls)
                if isinstance(result, Passes | Unknown):
                    return result
                history.append(result)
            case NoHost(failure=failure):
                history.append(_tried(step.round, None, outcome_of(failure)))
            case GiveUp(cause=cause):
                if record.hosts is None:
                    return Unknown(what=Unseen.HOSTS)
                return Refused(failure=cause, entry=policy.codes.entry(cause), hop=history[-1].hop)
            case Done() | Wait():
                raise AssertionError("a delivery ends the loop, and one round never waits")
            case _:
                assert_never(step)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    """Answers a try out of the record."""

    record: DomainRecord
    recipient: str | None
    domain: Domain
    stores: TrustStores

    def attempt(self, step: Try, policy: TlsPolicy) -> Tried | Passes | Unknown:
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
        verdict = rejudge(
            known.evidence,
            under,
            host=step.hop.host,
            recipient_domain=self.domain,
            stores=self.stores,
        ).verdict
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

    def _admitted(self, step: Try, verdict: Deliver, known: HostRecord) -> Tried | Passes:
        in_clear = verdict.protection is Protection.CLEAR
        answer: Outcome | None = None
        if self.recipient is not None:
            answer = known.answer(self.recipient, in_clear=in_clear)
        match answer:
            case None | Delivered():
                delivered = answer is not None
                return Passes(protection=verdict.protection, hop=step.hop, delivered=delivered)
            case _:
                return _tried(step.round, step, answer, verdict)


def _tried(
    number: int, step: Try | None, outcome: Outcome, verdict: Verdict | None = None
) -> Tried:
    return Tried(
        round=number,
        hop=step.hop if step else None,
        clear=step is not None and step.in_clear is InClear.NOW,
        verdict=verdict,
        outcome=outcome,
        ended_at=_NO_TIME,
    )
