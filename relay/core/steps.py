"""What to do next for one recipient: the whole delivery state machine, as one pure function.

Theory of operation. A *round* visits the hosts of a plan in order until one gives an answer that
concerns the recipient; rounds are parted by the schedule's delays. All state is the history: tries
already made. Hence a restart resumes by reading the history back, and nothing else.

A terminated session rules out its host, not the message. A host without TLS gets clear text, where
the policy allows it, only after the others were asked for TLS: with several hosts to come, its
session is judged under `InClear.NOT_YET`, so that the verdict can only be to retry in clear.

    no try yet ............................ Try the first host; NoHost where there is none
    delivered ............................. Done
    final refusal of the recipient ........ GiveUp
    TLS failed, and that is to bounce ..... as if that were final, once no host is left
    the host is ruled out, more hosts ..... Try the next host
    verdicts were "retry in clear" ........ Try those hosts without TLS, once each: after all hosts,
                                            or (`ClearText.SAME_HOST`) each before the next host
    all are ruled out, one only for now ... as if that one had been the last
    round used up, schedule goes on ....... Wait
    round used up, schedule or time over .. GiveUp, with the cause
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Literal, assert_never

from relay.core.outcomes import (
    Deferred,
    Delivered,
    Failed,
    Failure,
    Outcome,
    Scope,
    TlsRefusal,
    scope_of,
)
from relay.core.routing import ClearText, Hop, Plan
from relay.core.salesforce import OnTlsFailure
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import RetryInClear, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """One try of one recipient: where, how it was judged, how it ended.

    `hop` is None when no host could be tried at all. `round` counts from 1.
    """

    round: int
    hop: Hop | None
    clear: bool
    verdict: Verdict | None
    outcome: Outcome
    ended_at: datetime


@unique
class InClear(Enum):
    """What may be sent in clear text in a session to be opened."""

    AS_JUDGED = "as-judged"
    """What the verdict on the session allows."""
    NOT_YET = "not-yet"
    """Nothing; the verdict may allow a later session."""
    NOW = "now"
    """All of it, without trying TLS; an earlier verdict allowed that."""


def judged_under(policy: TlsPolicy, in_clear: InClear) -> TlsPolicy:
    """Return what a session is opened and judged under."""
    match in_clear:
        case InClear.AS_JUDGED:
            return policy
        case InClear.NOT_YET:
            return policy.in_clear_later()
        case InClear.NOW:
            return policy.in_clear()
        case _:
            assert_never(in_clear)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """Open a session to this host."""

    kind: Literal["try"] = "try"
    hop: Hop
    in_clear: InClear
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoHost:
    """Record a try without a host: the resolver gave none, for this reason."""

    kind: Literal["no-host"] = "no-host"
    round: int
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Do nothing until then; the round before ended with `failure`."""

    kind: Literal["wait"] = "wait"
    until: datetime
    failure: Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """Delivered."""

    kind: Literal["done"] = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """No further try; `cause` is the last failure, `expired` says that time ran out on it."""

    kind: Literal["give-up"] = "give-up"
    cause: Failure
    expired: bool


Step = Try | NoHost | Wait | Done | GiveUp


def next_step(
    history: Sequence[Tried], plan: Plan, *, accepted_at: datetime, now: datetime
) -> Step:
    """Decide the next step for a recipient with this history."""
    if not history:
        return _begin_round(1, plan)
    last = history[-1]
    match last.outcome:
        case Delivered():
            return Done()
        case Failed(failure=failure) | Deferred(failure=failure):
            other_hosts_count = scope_of(failure) is Scope.HOST
            if other_hosts_count and (again := _next_try(history, plan)):
                return again
            cause = failure if _tries_again(last.outcome, plan) else None
            if cause is None and other_hosts_count:
                cause = _worth_retrying(history, plan)
            if cause is None:
                return GiveUp(cause=failure, expired=False)
            return _end_round(history, cause, plan, accepted_at=accepted_at, now=now)
        case _:
            assert_never(last.outcome)


def hurried(step: Wait, history: Sequence[Tried], plan: Plan) -> Step:
    """Return the next step for a recipient whose wait somebody cut short.

    The round that begins counts among those of the schedule. ValueError without a history.
    """
    if not history:
        raise ValueError(f"nothing was tried yet that would be waited for until {step.until}")
    return _begin_round(history[-1].round + 1, plan)


def _tries_again(outcome: Outcome, plan: Plan) -> bool:
    """Whether another round may overcome this outcome."""
    if not isinstance(outcome, Deferred):
        return False
    bounces = plan.on_tls_failure is OnTlsFailure.BOUNCE_AT_ONCE
    return not (bounces and isinstance(outcome.failure, TlsRefusal))


def _begin_round(number: int, plan: Plan) -> Step:
    if not plan.hops:
        return NoHost(round=number, failure=plan.problem)
    return _first_try(plan.hops[0], number, plan)


def _first_try(hop: Hop, number: int, plan: Plan) -> Try:
    in_clear = InClear.NOT_YET if plan.clear_text_waits else InClear.AS_JUDGED
    return Try(hop=hop, in_clear=in_clear, round=number)


def _next_try(history: Sequence[Tried], plan: Plan) -> Try | None:
    """Return the next try of this round, now that the last one's host is ruled out."""
    number = history[-1].round
    this_round = [tried for tried in history if tried.round == number]
    seen = {tried.hop for tried in this_round}
    next_hop = next((hop for hop in plan.hops if hop not in seen), None)
    with_tls = _first_try(next_hop, number, plan) if next_hop is not None else None
    owed = _owed_in_clear(this_round)
    without = Try(hop=owed, in_clear=InClear.NOW, round=number) if owed is not None else None
    match plan.clear_text:
        case ClearText.AFTER_ALL_HOSTS:
            return with_tls or without
        case ClearText.SAME_HOST:
            return without or with_tls
        case ClearText.NEVER:
            return with_tls
        case _:
            assert_never(plan.clear_text)


def _owed_in_clear(this_round: Sequence[Tried]) -> Hop | None:
    """Return the first host whose verdict was to retry in clear and that was not yet retried."""
    retried = {tried.hop for tried in this_round if tried.clear}
    return next(
        (
            tried.hop
            for tried in this_round
            if isinstance(tried.verdict, RetryInClear) and tried.hop not in retried
        ),
        None,
    )


def _worth_retrying(history: Sequence[Tried], plan: Plan) -> Failure | None:
    """Return the latest failure of this round that another try may overcome."""
    for tried in reversed(history):
        if tried.round != history[-1].round:
            break
        if isinstance(tried.outcome, Deferred) and _tries_again(tried.outcome, plan):
            return tried.outcome.failure
    return None


def _end_round(
    history: Sequence[Tried],
    failure: Failure,
    plan: Plan,
    *,
    accepted_at: datetime,
    now: datetime,
) -> Step:
    schedule, last = plan.schedule, history[-1]
    if not schedule.delays:
        return GiveUp(cause=failure, expired=False)
    deadline = None if schedule.expire_after is None else accepted_at + schedule.expire_after
    if last.round <= len(schedule.delays):
        due = last.ended_at + schedule.delays[last.round - 1]
        if deadline is None or due < deadline:
            if due > now:
                return Wait(until=due, failure=failure)
            return _begin_round(last.round + 1, plan)
    if deadline is not None and deadline > now:
        # The tries are used up before the time is: the message stays queued until it expires.
        return Wait(until=deadline, failure=failure)
    return GiveUp(cause=failure, expired=True)
