"""Salesforce's query language: what is read, what is refused, and in which words."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.formats.soql import (
    Condition,
    DateLiteral,
    LikePattern,
    Name,
    Operator,
    Order,
    Query,
    SoqlError,
    SoqlErrorCode,
    Value,
    parse_soql,
)
from relay.formats.soql_tokens import MAX_DAYS, Period

KEYWORDS = {"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "ORDER", "BY", "LIMIT", "OFFSET"}
KEYWORDS |= {"LIKE", "IN"}


def test_every_clause_is_read() -> None:
    query = parse_soql(
        "select Id,Email\nfrom Contact where Email like '%@x.test' and IsEmailBounced = TRUE "
        "AND EmailBouncedDate >= Last_N_Days:7 AND Id NOT IN ('a', 'b\\'c') AND LastName <> null "
        "ORDER BY EmailBouncedDate DESC NULLS LAST, Id LIMIT 10 OFFSET 3"
    )
    assert query == Query(
        fields=(Name("Id"), Name("Email")),
        object=Name("Contact"),
        conditions=(
            Condition(
                field=Name("Email"), operator=Operator.LIKE, values=(LikePattern("%@x.test"),)
            ),
            Condition(field=Name("IsEmailBounced"), operator=Operator.EQUAL, values=(True,)),
            Condition(
                field=Name("EmailBouncedDate"),
                operator=Operator.GREATER_OR_EQUAL,
                values=(DateLiteral(period=Period.LAST_N_DAYS, days=7),),
            ),
            Condition(field=Name("Id"), operator=Operator.NOT_IN, values=("a", "b'c")),
            Condition(field=Name("LastName"), operator=Operator.NOT_EQUAL, values=(None,)),
        ),
        order=(
            Order(field=Name("EmailBouncedDate"), descending=True, nulls_last=True),
            Order(field=Name("Id")),
        ),
        limit=10,
        offset=3,
    )


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("2026-11-21T22:50:00Z", datetime(2026, 11, 21, 22, 50, tzinfo=UTC)),
        ("2026-11-21T22:50:00.250+01:00", datetime(2026, 11, 21, 21, 50, 0, 250_000, UTC)),
        ("2026-11-21", date(2026, 11, 21)),
        ("-12", -12),
        (r"'a\\b\n\"'", 'a\\b\n"'),
        ("today", DateLiteral(period=Period.TODAY)),
    ],
)
def test_a_literal(literal: str, value: Value) -> None:
    assert parse_soql(f"SELECT Id FROM Lead WHERE X = {literal}").conditions[0].values == (value,)


@pytest.mark.parametrize(
    ("text", "token", "row", "column"),
    [
        ("SELECT Id FRM Contact", "FRM", 1, 11),
        ("", "<EOF>", 1, 1),
        ("SELECT Id FROM Contact WHERE", "<EOF>", 1, 29),
        ("SELECT Id\nFROM Contact\nWHERE Email = 'a' OR Id = 'b'", "OR", 3, 19),
        ("SELECT Id, FROM Contact", "FROM", 1, 12),
        ("SELECT COUNT() FROM Contact", "(", 1, 13),
        ("SELECT Id FROM Contact WHERE Email = 'open", "'", 1, 38),
        ("SELECT Id FROM Contact WHERE Email == 'x'", "=", 1, 37),
        ("SELECT Id FROM Contact WHERE Email = x", "x", 1, 38),
        ("SELECT Id FROM Contact WHERE Email LIKE 3", "3", 1, 41),
        ("SELECT Id FROM Contact WHERE Email IN ()", ")", 1, 40),
        ("SELECT Id FROM Contact LIMIT -1", "-1", 1, 30),
        ("SELECT Id FROM Contact WHERE A = LAST_N_DAYS", "LAST_N_DAYS", 1, 34),
        ("SELECT Id FROM Contact; DROP TABLE contacts", ";", 1, 23),
        ("SELECT Id FROM Contact -- all", "-", 1, 24),
        ("DELETE FROM Contact", "DELETE", 1, 1),
    ],
)
def test_anything_else_is_malformed_and_the_token_is_named(
    text: str, token: str, row: int, column: int
) -> None:
    with pytest.raises(SoqlError) as caught:
        parse_soql(text)
    assert caught.value.code is SoqlErrorCode.MALFORMED_QUERY
    assert caught.value.detail == f"unexpected token: '{token}'"
    assert f"\nERROR at Row:{row}:Column:{column}\n" in str(caught.value)


def test_the_place_is_shown_under_the_line() -> None:
    with pytest.raises(SoqlError) as caught:
        parse_soql("SELECT Id FRM Contact")
    assert str(caught.value) == (
        "\nSELECT Id FRM Contact\n          ^\nERROR at Row:1:Column:11\nunexpected token: 'FRM'"
    )


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("SELECT Id, ID FROM Contact", "duplicate field selected: ID"),
        ("SELECT Id FROM Contact WHERE A = '\\q'", "invalid escape sequence: '\\q'"),
        ("SELECT Id FROM Contact WHERE A = '\\%'", "invalid escape sequence: '\\%'"),
        ("SELECT Id FROM Contact WHERE A = 2026-13-01", "invalid date or time: '2026-13-01'"),
        (f"SELECT Id FROM Contact LIMIT {'9' * 5000}", f"number out of range: {'9' * 20}"),
    ],
)
def test_what_else_is_malformed(text: str, detail: str) -> None:
    with pytest.raises(SoqlError) as caught:
        parse_soql(text)
    assert (caught.value.code, caught.value.detail) == (SoqlErrorCode.MALFORMED_QUERY, detail)


names = st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,8}\Z").filter(
    lambda name: name.upper() not in KEYWORDS
)
patterns = st.lists(
    st.one_of(st.sampled_from(["%", "_", "\\%", "\\_", "\\\\"]), st.text("ab'\n\"é", max_size=3))
).map(lambda parts: LikePattern("".join(parts)))
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-10_000, 10_000),
    st.text(),
    st.datetimes(
        min_value=datetime(1970, 1, 2),  # noqa: DTZ001 - the strategy adds the zone
        max_value=datetime(2100, 1, 1),  # noqa: DTZ001
        timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
    ),
    st.dates(date(1970, 1, 1), date(2100, 1, 1)),
    st.builds(
        lambda period, days: DateLiteral(period=period, days=days if period.counts else None),
        st.sampled_from(Period), st.integers(0, MAX_DAYS),
    ),
)  # fmt: skip
comparisons = st.sampled_from(
    [o for o in Operator if o not in {Operator.LIKE, Operator.IN, Operator.NOT_IN}]
)
conditions = st.one_of(
    st.builds(Condition, field=names.map(Name), operator=comparisons, values=st.tuples(values)),
    st.builds(
        Condition,
        field=names.map(Name),
        operator=st.just(Operator.LIKE),
        values=st.tuples(patterns),
    ),
    st.builds(
        Condition,
        field=names.map(Name),
        operator=st.sampled_from([Operator.IN, Operator.NOT_IN]),
        values=st.lists(values, min_size=1, max_size=4).map(tuple),
    ),
)
numbers = st.none() | st.integers(0, 2**31 - 1)
queries = st.builds(
    Query,
    fields=st.lists(names, min_size=1, max_size=4, unique_by=str.lower).map(
        lambda found: tuple(map(Name, found))
    ),
    object=names.map(Name),
    conditions=st.lists(conditions, max_size=4).map(tuple),
    order=st.lists(
        st.builds(Order, field=names.map(Name), descending=st.booleans(), nulls_last=st.booleans()),
        max_size=3,
    ).map(tuple),
    limit=numbers,
    offset=numbers,
)


@given(queries)
def test_a_query_reads_back_as_it_was_written(query: Query) -> None:
    assert parse_soql(str(query)) == query


@given(st.text() | st.text("SELECTFROMWHEREANDIN idC('%_\\)=<>!,:.0123456789-TZ"))
@example("SELECT Id FROM Contact WHERE A = '\\")
@example("SELECT Id FROM Contact WHERE A = 0001-01-01T00:00:00+14:00")
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        query = parse_soql(text)
    except SoqlError as error:
        refused = error
    else:
        assert parse_soql(str(query)) == query
        return
    assert 0 <= refused.at <= len(text)
