"""Fault rules by themselves: when they apply and fire, and which ones can't be."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from relay.core.fault_scripts import (
    Always,
    Chance,
    Delay,
    EveryNth,
    FaultPhase,
    FaultRule,
    Interference,
    NextN,
    RecipientPattern,
    When,
)
from relay.core.replies import Reply

BUSY = Reply(code=450, text="4.2.1 Busy")
NOW = timedelta(0)


@pytest.mark.parametrize(
    ("when", "fires"),
    [
        (Always(), [1, 2, 3, 4, 5, 6]),
        (NextN(count=2), [1, 2]),
        (EveryNth(nth=3), [3, 6]),
        (EveryNth(nth=1), [1, 2, 3, 4, 5, 6]),
        (Chance(probability=0.5), []),
    ],
)
def test_the_occasions_on_which_a_rule_fires(when: When, fires: list[int]) -> None:
    rule = FaultRule(phase=FaultPhase.MAIL, answer=BUSY, when=when)
    assert [n for n in range(1, 7) if rule.fires(n, draw=0.5)] == fires


def test_chance_fires_below_its_probability_and_a_whole_one_always() -> None:
    rule = FaultRule(phase=FaultPhase.MAIL, answer=BUSY, when=Chance(probability=0.2))
    assert rule.fires(1, draw=0.19)
    assert not rule.fires(1, draw=0.2)
    sure = FaultRule(phase=FaultPhase.MAIL, answer=BUSY, when=Chance(probability=1))
    assert sure.fires(1, draw=0.9999)


def test_a_rule_applies_in_its_phase_and_from_its_time_on() -> None:
    rule = FaultRule(phase=FaultPhase.MAIL, answer=BUSY, after=timedelta(seconds=30))
    assert not rule.applies(FaultPhase.MAIL, (), elapsed=timedelta(seconds=29))
    assert rule.applies(FaultPhase.MAIL, (), elapsed=timedelta(seconds=30))
    assert not rule.applies(FaultPhase.RCPT, (), elapsed=timedelta(seconds=30))


def test_a_rule_for_recipients_applies_where_one_of_them_is_among_them() -> None:
    rule = FaultRule(
        phase=FaultPhase.DATA, answer=BUSY, recipients=RecipientPattern.parse("slow+*")
    )
    assert rule.applies(FaultPhase.DATA, ("a@b.test", "slow+1@b.test"), elapsed=NOW)
    assert not rule.applies(FaultPhase.DATA, ("a@b.test",), elapsed=NOW)
    assert not rule.applies(FaultPhase.DATA, (), elapsed=NOW)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("slow+*", "Slow+x@any.test", "slow@any.test"),
        ("*", "anyone@any.test", None),
        ("jane@b.example", "JANE@B.example", "jane@a.b.example"),
        ("@*.b.example", "jane@a.b.example", "jane@b.example"),
        ("*+vip@b.example", "a+vip@b.example", "a+vipx@b.example"),
        ("a.b", "a.b@x.test", "aXb@x.test"),
        ("a*c*e", "abcde@x.test", "abcd@x.test"),
    ],
)
def test_patterns_of_recipients(pattern: str, yes: str, no: str | None) -> None:
    parsed = RecipientPattern.parse(pattern)
    assert parsed.matches(yes)
    assert no is None or not parsed.matches(no)
    assert RecipientPattern.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("a@", "empty"),
        ("two words", "not a pattern of recipients"),
        ("a..b@c.test", "not a pattern of recipients"),
        ("a@*x.test", "may stand only alone"),
    ],
)
def test_what_is_no_pattern_of_recipients(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RecipientPattern.parse(text)


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({"phase": FaultPhase.MAIL, "recipients": RecipientPattern()}, "no recipient is known"),
        ({"phase": FaultPhase.HANDSHAKE}, "no SMTP replies"),
        ({"answer": Reply(code=250, text="ok")}, "4xx or 5xx, not 250"),
    ],
)
def test_rules_that_can_not_be(rule: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        FaultRule(**{"phase": FaultPhase.RCPT, "answer": BUSY, **rule})


def test_numbers_out_of_range_are_refused() -> None:
    for count in (0, -1):
        with pytest.raises(ValueError, match="from 1"):
            NextN(count=count)
        with pytest.raises(ValueError, match="from 1"):
            EveryNth(nth=count)
    for probability in (0.0, -0.1, 1.1):
        with pytest.raises(ValueError, match="probability"):
            Chance(probability=probability)
    for by in (timedelta(0), timedelta(hours=1, seconds=1)):
        with pytest.raises(ValueError, match="delay"):
            Delay(by=by)


def test_recipients_are_known_from_rcpt_on() -> None:
    known = [phase for phase in FaultPhase if phase.knows_recipients]
    assert known == [FaultPhase.RCPT, FaultPhase.DATA, FaultPhase.CONTENT]
    for phase in known:
        FaultRule(phase=phase, answer=Interference.DROP, recipients=RecipientPattern())
