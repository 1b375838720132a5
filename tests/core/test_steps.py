"""`next_step`: every transition of a recipient's delivery, as histories."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.faults import FaultKind, TlsFault
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    Delivered,
    DnsFailure,
    DnsProblem,
    Failed,
    Failure,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Scope,
    Stage,
    TlsRefusal,
    outcome_of,
    scope_of,
)
from relay.core.replies import Reply
from relay.core.routing import ClearText, Hop, Plan, RetrySchedule
from relay.core.salesforce import OnTlsFailure
from relay.core.settings import Protection, TlsSetting
from relay.core.steps import Done, GiveUp, InClear, NoHost, Step, Tried, Try, Wait, next_step
from relay.core.verdicts import Deliver, RetryInClear, Terminate, Verdict

T0 = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIN = timedelta(minutes=1)
A = Hop(host="a.test", address="127.0.0.1", port=1)
B = Hop(host="b.test", address="127.0.0.1", port=2)
C = Hop(host="c.test", address="127.0.0.1", port=3)
NOBODY = DnsFailure(problem=DnsProblem.NO_HOST, name="x.test")
LOOKUP = DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="x.test")
FAULTS = (TlsFault(kind=FaultKind.STARTTLS_NOT_OFFERED, detail="x"),)
TLS = TlsRefusal(setting=TlsSetting.REQUIRED, faults=FAULTS, stage=Stage.AFTER_EHLO)
REFUSED = ConnectionFailure(
    problem=ConnectionProblem.REFUSED, stage=Stage.NOT_CONNECTED, detail="x"
)
LOST_LATE = ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.CONFIRMATION, detail="x")
GREETING_554 = PeerRefusal(reply=Reply(code=554, text="no"), stage=Stage.BANNER)
BUSY = PeerRefusal(reply=Reply(code=450, text="busy"), stage=Stage.RCPT)
UNKNOWN = PeerRefusal(reply=Reply(code=550, text="unknown"), stage=Stage.RCPT)
NOT_ALLOWED = LocalRefusal(problem=LocalProblem.HOST_NOT_ALLOWED, detail="x")
OK = Delivered(reply=Reply(code=250, text="ok"), protection=Protection.CLEAR)
ONCE = RetrySchedule()
TWICE = RetrySchedule(delays=(5 * MIN,), expire_after=60 * MIN)


def plan(
    *hops: Hop, schedule: RetrySchedule = ONCE, clear_text: ClearText = ClearText.AFTER_ALL_HOSTS
) -> Plan:
    return Plan(hops=hops, problem=NOBODY, schedule=schedule, clear_text=clear_text)


def first_try(hop: Hop, round: int = 1) -> Try:  # noqa: A002
    """The try of one host among several: clear text is not yet allowed."""
    return Try(hop=hop, in_clear=InClear.NOT_YET, round=round)


def try_in_clear(hop: Hop, round: int = 1) -> Try:  # noqa: A002
    return Try(hop=hop, in_clear=InClear.NOW, round=round)


def in_vain(hop: Hop, round: int = 1) -> Tried:  # noqa: A002
    """A try that ended in the verdict to retry in clear."""
    return tried(hop, TLS, RetryInClear(faults=FAULTS), round=round)


def tried(
    hop: Hop | None,
    result: Failure | Outcome,
    verdict: Verdict | None = None,
    clear: bool = False,
    round: int = 1,  # noqa: A002
    at: datetime = T0,
) -> Tried:
    outcome = result if isinstance(result, Delivered | Deferred | Failed) else outcome_of(result)
    return Tried(round=round, hop=hop, clear=clear, verdict=verdict, outcome=outcome, ended_at=at)


def step(plan: Plan, *history: Tried, now: datetime = T0) -> Step:
    return next_step(history, plan, accepted_at=T0, now=now)


def test_begins_with_the_first_host() -> None:
    assert step(plan(A, B)) == first_try(A)


@pytest.mark.parametrize("clear_text", ClearText)
def test_clear_text_waits_for_other_hosts_only_where_there_are_any(clear_text: ClearText) -> None:
    alone, among_two = plan(A, clear_text=clear_text), plan(A, B, clear_text=clear_text)
    waits = clear_text is ClearText.AFTER_ALL_HOSTS
    assert step(alone) == Try(hop=A, in_clear=InClear.AS_JUDGED, round=1)
    expected = InClear.NOT_YET if waits else InClear.AS_JUDGED
    assert step(among_two) == Try(hop=A, in_clear=expected, round=1)
    assert step(among_two, tried(A, REFUSED)) == Try(hop=B, in_clear=expected, round=1)


def test_no_host_is_recorded_with_its_reason() -> None:
    assert step(plan()) == NoHost(round=1, failure=NOBODY)


def test_delivered_is_done() -> None:
    assert step(plan(A, B), tried(A, OK)) == Done()


@pytest.mark.parametrize("failure", [TLS, REFUSED, GREETING_554, NOT_ALLOWED])
def test_a_host_ruled_out_leads_to_the_next(failure: Failure) -> None:
    assert step(plan(A, B), tried(A, failure)) == first_try(B)


@pytest.mark.parametrize("failure", [BUSY, LOST_LATE])
def test_an_answer_about_the_recipient_ends_the_round(failure: Failure) -> None:
    assert step(plan(A, B), tried(A, failure)) == GiveUp(cause=failure, expired=False)


def test_a_final_refusal_of_the_recipient_gives_up_whatever_the_schedule() -> None:
    assert step(plan(A, B, schedule=TWICE), tried(A, UNKNOWN)) == GiveUp(
        cause=UNKNOWN, expired=False
    )


def at_once(*hops: Hop, schedule: RetrySchedule = TWICE) -> Plan:
    return replace(plan(*hops, schedule=schedule), on_tls_failure=OnTlsFailure.BOUNCE_AT_ONCE)


def test_a_tls_failure_waits_or_bounces_at_once_as_the_switch_says() -> None:
    assert step(plan(A, schedule=TWICE), tried(A, TLS)) == Wait(until=T0 + 5 * MIN, failure=TLS)
    assert step(at_once(A), tried(A, TLS)) == GiveUp(cause=TLS, expired=False)


def test_bouncing_at_once_still_asks_every_host_and_takes_clear_text_where_it_may() -> None:
    assert step(at_once(A, B), tried(A, TLS)) == first_try(B)
    assert step(at_once(A), in_vain(A)) == try_in_clear(A)
    assert step(at_once(A, B), tried(A, TLS), tried(B, OK)) == Done()


@pytest.mark.parametrize("failure", [REFUSED, BUSY, LOOKUP, LOST_LATE])
def test_bouncing_at_once_is_about_tls_alone(failure: Failure) -> None:
    hop = None if failure is LOOKUP else A
    assert step(at_once(A), tried(hop, failure)) == Wait(until=T0 + 5 * MIN, failure=failure)


@pytest.mark.parametrize("final", [TLS, GREETING_554])
def test_a_host_that_may_recover_outweighs_a_tls_failure_that_bounces(final: Failure) -> None:
    history = tried(A, REFUSED), tried(B, final)
    assert step(at_once(A, B), *history) == Wait(until=T0 + 5 * MIN, failure=REFUSED)
    assert step(at_once(A, B), *reversed(history)) == Wait(until=T0 + 5 * MIN, failure=REFUSED)


def test_a_tls_failure_that_bounces_gives_no_other_one_another_round() -> None:
    assert step(at_once(A, B), tried(A, TLS), tried(B, GREETING_554)) == GiveUp(
        cause=GREETING_554, expired=False
    )
    assert step(at_once(A, B), tried(A, GREETING_554), tried(B, TLS)) == GiveUp(
        cause=TLS, expired=False
    )
    earlier = tried(A, REFUSED), tried(B, TLS)
    later = tried(A, TLS, round=2), tried(B, TLS, round=2)
    assert step(at_once(A, B), *earlier, *later) == GiveUp(cause=TLS, expired=False)


@pytest.mark.parametrize("verdict", [None, Terminate(faults=FAULTS)])
def test_terminate_never_leads_to_clear_text(verdict: Verdict | None) -> None:
    assert step(plan(A), tried(A, TLS, verdict)) == GiveUp(cause=TLS, expired=False)


def test_retry_in_clear_tries_the_same_host_once() -> None:
    deliver = Deliver(protection=Protection.CLEAR)
    second = tried(A, REFUSED, deliver, clear=True)
    assert step(plan(A), in_vain(A)) == try_in_clear(A)
    assert step(plan(A), in_vain(A), second) == GiveUp(cause=REFUSED, expired=False)


def test_clear_text_comes_after_every_host_was_asked_for_tls() -> None:
    way, deliver = plan(A, B, C), Deliver(protection=Protection.CLEAR)
    history = [in_vain(A)]
    assert step(way, *history) == first_try(B)
    history.append(in_vain(B))
    assert step(way, *history) == first_try(C)
    history.append(tried(C, GREETING_554))
    assert step(way, *history) == try_in_clear(A)
    history.append(tried(A, REFUSED, deliver, clear=True))
    assert step(way, *history) == try_in_clear(B)
    history.append(tried(B, REFUSED, deliver, clear=True))
    assert step(way, *history) == GiveUp(cause=REFUSED, expired=False)


def test_clear_text_on_the_same_host_comes_before_the_next_one() -> None:
    way = plan(A, B, clear_text=ClearText.SAME_HOST)
    as_judged = Try(hop=B, in_clear=InClear.AS_JUDGED, round=1)
    assert step(way, in_vain(A)) == try_in_clear(A)
    refused = tried(A, REFUSED, Deliver(protection=Protection.CLEAR), clear=True)
    assert step(way, in_vain(A), refused) == as_judged


def test_a_terminated_host_gets_no_clear_text_when_the_others_are_through() -> None:
    terminated = tried(A, TLS, Terminate(faults=FAULTS))
    assert step(plan(A, B), terminated, in_vain(B)) == try_in_clear(B)
    both = (terminated, tried(B, TLS, Terminate(faults=FAULTS)))
    assert step(plan(A, B), *both) == GiveUp(cause=TLS, expired=False)


def test_an_earlier_verdict_does_not_outlive_a_policy_that_allows_no_clear_text() -> None:
    """A restart may have come in between, under a stricter policy."""
    way = plan(A, B, clear_text=ClearText.NEVER)
    assert step(way, in_vain(A)) == Try(hop=B, in_clear=InClear.AS_JUDGED, round=1)
    assert step(way, in_vain(A), in_vain(B)) == GiveUp(cause=TLS, expired=False)


def test_clear_text_is_owed_within_the_round_alone() -> None:
    history = (in_vain(A), tried(A, REFUSED, clear=True), tried(A, REFUSED, round=2))
    twice = plan(A, schedule=TWICE)
    assert step(twice, *history, now=T0 + MIN) == Wait(until=T0 + 60 * MIN, failure=REFUSED)
    earlier = (in_vain(A), tried(A, REFUSED, round=2))
    assert step(twice, *earlier, now=T0 + MIN) == Wait(until=T0 + 60 * MIN, failure=REFUSED)


def test_an_answer_about_the_recipient_outweighs_clear_text_that_is_owed() -> None:
    assert step(plan(A, B), in_vain(A), tried(B, BUSY)) == GiveUp(cause=BUSY, expired=False)


def test_a_clear_session_is_never_retried_in_clear_again() -> None:
    odd = tried(A, TLS, RetryInClear(faults=FAULTS), clear=True)
    assert step(plan(A), odd) == GiveUp(cause=TLS, expired=False)


def test_a_host_that_may_recover_outweighs_one_that_refused_for_good() -> None:
    history = (tried(A, REFUSED), tried(B, GREETING_554))
    assert step(plan(A, B), *history) == GiveUp(cause=REFUSED, expired=False)
    assert step(plan(A, B, schedule=TWICE), *history) == Wait(until=T0 + 5 * MIN, failure=REFUSED)


def test_only_this_round_counts_for_that() -> None:
    history = (tried(A, REFUSED), tried(A, GREETING_554, round=2))
    assert step(plan(A, schedule=TWICE), *history) == GiveUp(cause=GREETING_554, expired=False)


def test_all_hosts_refused_for_good() -> None:
    history = (tried(A, GREETING_554), tried(B, NOT_ALLOWED))
    assert step(plan(A, B), *history) == GiveUp(cause=NOT_ALLOWED, expired=False)


def test_schedule_waits_then_begins_the_next_round_with_the_first_host() -> None:
    waiting = plan(A, B, schedule=TWICE)
    history = (tried(A, REFUSED), tried(B, TLS, at=T0 + MIN))
    due = T0 + 6 * MIN
    assert step(waiting, *history, now=due - MIN) == Wait(until=due, failure=TLS)
    assert step(waiting, *history, now=due) == first_try(A, 2)


def test_each_round_is_followed_by_its_own_delay() -> None:
    growing = RetrySchedule(delays=(MIN, 10 * MIN, 100 * MIN), expire_after=None)
    waiting = plan(A, schedule=growing)
    history: list[Tried] = []
    for number, delay in enumerate(growing.delays, start=1):
        history.append(tried(A, TLS, round=number))
        assert step(waiting, *history) == Wait(until=T0 + delay, failure=TLS)


def test_tries_used_up_waits_for_the_deadline_then_expires() -> None:
    waiting = plan(A, schedule=TWICE)
    history = (tried(A, REFUSED), tried(A, TLS, round=2, at=T0 + 5 * MIN))
    deadline = T0 + 60 * MIN
    assert step(waiting, *history, now=T0 + 6 * MIN) == Wait(until=deadline, failure=TLS)
    assert step(waiting, *history, now=deadline) == GiveUp(cause=TLS, expired=True)


def test_a_try_due_after_the_deadline_is_not_made() -> None:
    short = RetrySchedule(delays=(5 * MIN, 5 * MIN), expire_after=3 * MIN)
    assert step(plan(A, schedule=short), tried(A, TLS)) == Wait(until=T0 + 3 * MIN, failure=TLS)
    exact = RetrySchedule(delays=(5 * MIN,), expire_after=5 * MIN)
    assert step(plan(A, schedule=exact), tried(A, TLS), now=T0 + 5 * MIN) == GiveUp(
        cause=TLS, expired=True
    )


def test_a_schedule_without_deadline_expires_with_its_last_try() -> None:
    endless = RetrySchedule(delays=(MIN,), expire_after=None)
    history = (tried(A, TLS), tried(A, TLS, round=2))
    assert step(plan(A, schedule=endless), *history) == GiveUp(cause=TLS, expired=True)


def test_a_failed_lookup_waits_like_any_other_trouble() -> None:
    nowhere = Plan(hops=(), problem=LOOKUP, schedule=TWICE)
    history = tried(None, LOOKUP)
    assert step(nowhere, history) == Wait(until=T0 + 5 * MIN, failure=LOOKUP)
    assert step(nowhere, history, now=T0 + 5 * MIN) == NoHost(round=2, failure=LOOKUP)


@pytest.mark.parametrize("stage", Stage)
def test_before_mail_is_all_that_comes_before_the_envelope(stage: Stage) -> None:
    after = {Stage.MAIL, Stage.RCPT, Stage.DATA, Stage.BODY, Stage.CONFIRMATION}
    after.add(Stage.OUT_OF_BAND)
    assert stage.before_mail is (stage not in after)
    lost = ConnectionFailure(problem=ConnectionProblem.LOST, stage=stage, detail="x")
    assert scope_of(lost) is (Scope.RECIPIENT if stage in after else Scope.HOST)


failures = st.sampled_from([TLS, REFUSED, LOST_LATE, GREETING_554, BUSY, UNKNOWN, NOT_ALLOWED])
CLEARED = Deliver(protection=Protection.CLEAR)
schedules = st.builds(
    RetrySchedule,
    delays=st.lists(st.integers(1, 90).map(lambda m: m * MIN), max_size=5).map(tuple),
    expire_after=st.none() | st.integers(1, 300).map(lambda m: m * MIN),
)


@given(
    data=st.data(),
    schedule=schedules,
    hops=st.sampled_from([(), (A,), (A, B), (A, B, C)]),
    clear_text=st.sampled_from(ClearText),
)
def test_every_life_ends_and_never_tries_a_host_twice_in_a_round(
    data: st.DataObject, schedule: RetrySchedule, hops: tuple[Hop, ...], clear_text: ClearText
) -> None:
    """Whatever hosts do: bounded tries, clear text only after verdicts, and an end."""
    way = Plan(hops=hops, problem=LOOKUP, schedule=schedule, clear_text=clear_text)
    history: list[Tried] = []
    now = T0
    for _ in range(6 * (len(schedule.delays) + 2)):
        match next_step(history, way, accepted_at=T0, now=now):
            case Done() | GiveUp():
                return
            case Wait(until=until):
                assert until > now
                now = until
            case NoHost(round=number, failure=failure):
                history.append(tried(None, failure, round=number, at=now))
            case Try(hop=hop, in_clear=in_clear, round=number):
                this_round = [t for t in history if t.round == number]
                earlier = [t for t in this_round if t.hop == hop]
                clear = in_clear is InClear.NOW
                assert len(earlier) == (1 if clear else 0)
                if clear:
                    assert isinstance(earlier[0].verdict, RetryInClear)
                    assert clear_text is not ClearText.NEVER
                    if clear_text is ClearText.AFTER_ALL_HOSTS:
                        assert {t.hop for t in this_round} == set(hops)
                    else:
                        assert this_round[-1] is earlier[0]
                waits = clear_text is ClearText.AFTER_ALL_HOSTS and len(hops) > 1
                assert (in_clear is InClear.NOT_YET) is (waits and not clear)
                result = data.draw(st.one_of(failures, st.just(OK)), label=f"{hop} {in_clear}")
                may_retry = result is TLS and not clear and data.draw(st.booleans())
                verdict = RetryInClear(faults=FAULTS) if may_retry else None
                history.append(tried(hop, result, verdict, clear, number, now))
                now += MIN
    raise AssertionError(f"no end after {len(history)} tries")
