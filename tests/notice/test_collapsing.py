"""A thousand occasions make two notices; what is told is counted, and nothing is told twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from notice_records import NOON, a_notice

from relay.core.jsonform import to_json
from relay.core.notices import Notice, Report, Window, close, collapse


def test_the_first_is_told_at_once_and_the_rest_in_one_summary() -> None:
    window: Window | None = None
    told: list[Notice] = []
    for number in range(1000):
        at = NOON + timedelta(seconds=number)
        window, tell = collapse(window, a_notice(number, at=at), now=at)
        told += [tell] if tell else []
    assert told == [a_notice(0)]
    assert window is not None
    following, summary = close(window, now=NOON + timedelta(hours=1))
    assert summary == replace(
        a_notice(999, at=NOON + timedelta(seconds=999)),
        report=Report.SUMMARY,
        count=1000,
        first_at=NOON,
    )
    assert following is not None


def test_one_that_stays_alone_makes_no_summary_and_the_next_is_told_at_once() -> None:
    window, _ = collapse(None, a_notice(), now=NOON)
    assert window is not None
    assert close(window, now=NOON) == (None, None)


def test_what_goes_on_is_told_once_in_a_window_until_it_ends() -> None:
    window, _ = collapse(None, a_notice(1), now=NOON)
    window, told = collapse(window, a_notice(2), now=NOON)
    assert told is None
    assert window is not None
    window, summary = close(window, now=NOON)
    assert summary is not None
    assert summary.count == 2
    later = NOON + timedelta(minutes=5)
    window, told = collapse(window, a_notice(3, at=later), now=later)
    assert told is None
    assert window is not None
    window, summary = close(window, now=later)
    assert summary is not None
    assert (summary.count, summary.first_at, summary.bounce_id) == (1, later, "b3")
    assert window is not None
    assert close(window, now=later) == (None, None)


@given(st.lists(st.booleans()))
def test_every_occasion_is_told_exactly_once(closing: list[bool]) -> None:
    """True closes the window, False is an occasion; a summary counts the one told at once too."""
    window: Window | None = None
    occasions = told = counted = 0
    for closes in [*closing, True]:
        if not closes:
            occasions += 1
            window, tell = collapse(window, a_notice(occasions), now=NOON)
            told += tell is not None
        elif window is not None:
            at_once = window.told
            window, tell = close(window, now=NOON)
            told -= at_once if tell else 0
            counted += tell.count if tell else 0
    assert told + counted == occasions


def test_the_json_form() -> None:
    assert to_json(a_notice()) == {
        "kind": "bounced",
        "report": "first",
        "domain": "bank.test",
        "count": 1,
        "first_at": "2026-03-04T12:00:00+00:00",
        "last_at": "2026-03-04T12:00:00+00:00",
        "code": {"code": 451, "enhanced": "4.7.5"},
        "setting": "required-verify",
        "host": "mx.bank.test",
        "cause": "A certificate has expired.",
        "remedy": "Renew it.",
        "message_id": "m1",
        "bounce_id": "b1",
        "verified_at": None,
        "next": "relay bounces show b1",
    }
