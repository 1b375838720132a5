"""Mailpit's search syntax, read into terms."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.web.mailpit_search import (
    Bound,
    Contains,
    Limit,
    Part,
    SearchError,
    Term,
    Trait,
    parse_search,
)


def text(part: Part, value: str, *, negated: bool = False) -> Term:
    return Term(Contains(part, value), negated)


@pytest.mark.parametrize(
    ("search", "terms"),
    [
        ("", []),
        ('  "" ', []),
        ("Hello world", [text(Part.ANYWHERE, "hello"), text(Part.ANYWHERE, "world")]),
        ('"Hello  world"', [text(Part.ANYWHERE, "hello world")]),
        ('subject:"Hello world" x', [text(Part.SUBJECT, "hello world"), text(Part.ANYWHERE, "x")]),
        ('"subject:Hello world"', [text(Part.SUBJECT, "hello world")]),
        ('subject:"never closed x', [text(Part.SUBJECT, "never closed x")]),
        ("FROM:Ann@X.test", [text(Part.FROM, "ann@x.test")]),
        ("to:<b@x.test>,", [text(Part.TO, "b@x.test")]),
        ("-cc:a !bcc:b", [text(Part.CC, "a", negated=True), text(Part.BCC, "b", negated=True)]),
        ('-"to:a b"', [text(Part.TO, "a b", negated=True)]),
        ("reply-to:a addressed:b", [text(Part.REPLY_TO, "a"), text(Part.ADDRESSED, "b")]),
        ("message-id:1@x tag:Urgent", [text(Part.MESSAGE_ID, "1@x"), text(Part.TAG, "urgent")]),
        ("to:", []),
        ("-", [text(Part.ANYWHERE, "-")]),
        ("12:30 http://x", [text(Part.ANYWHERE, "12:30"), text(Part.ANYWHERE, "http://x")]),
        ("is:read -is:READ", [Term(Trait.READ), Term(Trait.READ, negated=True)]),
        ("is:unread is:tagged", [Term(Trait.UNREAD), Term(Trait.TAGGED)]),
        ("has:attachments has:inline", [Term(Trait.ATTACHMENT), Term(Trait.INLINE)]),
        ("larger:1.5k", [Term(Limit(Bound.LARGER, 1536))]),
        ("smaller:2MB", [Term(Limit(Bound.SMALLER, 2 * 1024 * 1024))]),
        ("larger:much", [text(Part.ANYWHERE, "larger:much")]),
    ],
)
def test_a_search(search: str, terms: list[Term]) -> None:
    assert list(parse_search(search)) == terms


@pytest.mark.parametrize(
    ("search", "zone", "at"),
    [
        ("after:2026-03-01", "Europe/Berlin", datetime(2026, 2, 28, 23, 0, tzinfo=UTC)),
        ("after:2026/03/01", "UTC", datetime(2026, 3, 1, tzinfo=UTC)),
        ('after:"2026-03-01 12:30"', "UTC", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
        ("after:2026-03-01t12:30z", "Asia/Tokyo", datetime(2026, 3, 1, 12, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_of_the_zone_that_it_names_or_the_one_given(
    search: str, zone: str, at: datetime
) -> None:
    assert parse_search(search, zone) == (Term(Limit(Bound.AFTER, at)),)


@pytest.mark.parametrize(
    ("search", "zone"),
    [("before:", None), ("before:tomorrow", None), ("x", "Nowhere/At all"), ("x", "../etc/passwd")],
)
def test_what_would_be_passed_over_is_refused(search: str, zone: str | None) -> None:
    with pytest.raises(SearchError):
        parse_search(search, zone)


@given(st.text(), st.none() | st.text(max_size=12))
@example("after:0001-01-01", "Asia/Tokyo")
@example("before:9999-12-31T23:59:59", "America/Lima")
@example("larger:" + "9" * 15 + "mb", None)
def test_any_search_is_read_or_refused(search: str, zone: str | None) -> None:
    try:
        terms = parse_search(search, zone)
    except SearchError as error:
        sentence = str(error)
        assert sentence.endswith(".")
    else:
        assert all(isinstance(term, Term) for term in terms)
