"""What a query picks, and in which order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.formats.soql import SoqlError, SoqlErrorCode, parse_soql
from relay.formats.soql_answer import FieldType, Row, SalesforceObject, understand

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
THING = SalesforceObject(
    name="Thing",
    fields={
        "Id": FieldType.ID,
        "Name": FieldType.STRING,
        "At": FieldType.DATETIME,
        "Bad": FieldType.BOOLEAN,
    },
)


def row(own: str, name: str | None, at: datetime | None, *, bad: bool) -> Row:
    return {"Id": own, "Name": name, "At": at, "Bad": bad}


ROWS = [
    row("1", "Ann_Lee", NOW, bad=True),
    row("2", "bob", NOW - timedelta(hours=13), bad=False),
    row("3", "", None, bad=False),
    row("4", "100% Äpfel", datetime(2026, 2, 1, tzinfo=UTC), bad=True),
]


def ids(rest: str, rows: list[Row] | None = None) -> str:
    text = f"SELECT id FROM thing {rest}"
    answer = understand(parse_soql(text), text, [THING], NOW)
    assert answer.fields == ("Id",)
    return "".join(str(found["Id"]) for found in answer.rows(ROWS if rows is None else rows))


@pytest.mark.parametrize(
    ("rest", "found"),
    [
        ("", "1234"),
        ("LIMIT 2", "12"),
        ("LIMIT 2 OFFSET 1", "23"),
        ("LIMIT 0", ""),
        ("WHERE Name = 'BOB'", "2"),
        ("WHERE Name != 'bob'", "134"),
        ("WHERE Name = null", "3"),
        ("WHERE Name = ''", "3"),
        ("WHERE Name != null", "124"),
        ("WHERE Name IN ('bob', null)", "23"),
        ("WHERE Name NOT IN ('bob', null)", "14"),
        ("WHERE Name > 'b'", "2"),
        ("WHERE Name < 'b'", "14"),
        ("WHERE Name LIKE 'A%'", "1"),
        ("WHERE Name LIKE '%e%'", "14"),
        ("WHERE Name LIKE '_ob'", "2"),
        (r"WHERE Name LIKE '%\_%'", "1"),
        (r"WHERE Name LIKE '%\%%'", "4"),
        ("WHERE Name LIKE '%äPF%'", "4"),
        ("WHERE Name LIKE '%'", "1234"),
        ("WHERE Name LIKE 'bob%b'", ""),
        ("WHERE Bad = true", "14"),
        ("WHERE Bad != true", "23"),
        ("WHERE Bad = true AND Name LIKE 'a%'", "1"),
        ("WHERE At = null", "3"),
        ("WHERE At >= 2026-03-01T12:30:00Z", "1"),
        ("WHERE At > 2026-03-01T12:30:00Z", ""),
        ("WHERE At <= 2026-03-01T12:30:00Z", "124"),
        ("WHERE At = TODAY", "1"),
        ("WHERE At = YESTERDAY", "2"),
        ("WHERE At < TODAY", "24"),
        ("WHERE At > YESTERDAY", "1"),
        ("WHERE At >= YESTERDAY", "12"),
        ("WHERE At <= YESTERDAY", "24"),
        ("WHERE At = LAST_MONTH", "24"),
        ("WHERE At = THIS_MONTH", "1"),
        ("WHERE At = TOMORROW", ""),
        ("WHERE At = LAST_N_DAYS:1", "12"),
        ("WHERE At = N_DAYS_AGO:28", "4"),
        ("WHERE At >= LAST_N_DAYS:99999", "124"),
        ("ORDER BY Name", "3412"),
        ("ORDER BY Name DESC", "3214"),
        ("ORDER BY Name DESC NULLS LAST", "2143"),
        ("ORDER BY Bad, Name DESC", "3214"),
        ("ORDER BY At DESC NULLS LAST LIMIT 2", "12"),
    ],
)
def test_what_a_query_finds(rest: str, found: str) -> None:
    assert ids(rest) == found


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("SELECT Id FROM Account", SoqlErrorCode.INVALID_TYPE, "'Account' is not supported"),
        ("SELECT Nope FROM Thing", SoqlErrorCode.INVALID_FIELD, "No such column 'Nope'"),
        ("SELECT Id FROM Thing WHERE Nope = 1", SoqlErrorCode.INVALID_FIELD, "'Nope'"),
        ("SELECT Id FROM Thing ORDER BY Nope", SoqlErrorCode.INVALID_FIELD, "'Nope'"),
        (
            "SELECT Id FROM Thing WHERE Bad = 'true'",
            SoqlErrorCode.INVALID_FIELD,
            "must be of type boolean and should not be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Thing WHERE Name = 5",
            SoqlErrorCode.INVALID_FIELD,
            "must be of type string and should be enclosed in quotes",
        ),
        (
            "SELECT Id FROM Thing WHERE At = 2026-03-01",
            SoqlErrorCode.INVALID_FIELD,
            "must be of type dateTime",
        ),
        (
            "SELECT Id FROM Thing WHERE At LIKE 'x'",
            SoqlErrorCode.INVALID_QUERY_FILTER_OPERATOR,
            "invalid operator 'LIKE' on dateTime field 'At'",
        ),
        (
            "SELECT Id FROM Thing WHERE Bad < true",
            SoqlErrorCode.INVALID_QUERY_FILTER_OPERATOR,
            "'<'",
        ),
        (
            "SELECT Id FROM Thing WHERE At > null",
            SoqlErrorCode.INVALID_QUERY_FILTER_OPERATOR,
            "'>'",
        ),
    ],
)
def test_what_makes_no_sense(query: str, code: SoqlErrorCode, words: str) -> None:
    with pytest.raises(SoqlError) as caught:
        understand(parse_soql(query), query, [THING], NOW)
    assert caught.value.code is code
    assert words in caught.value.detail


def test_a_pattern_that_nearly_fits_a_long_text_costs_little() -> None:
    """With plain backtracking this would take longer than anybody waits."""
    long = [row("1", "a" * 2000, None, bad=False)]
    assert ids(f"WHERE Name LIKE '{'%a' * 200}%b'", long) == ""
    assert ids(f"WHERE Name LIKE '{'%a' * 200}%'", long) == "1"
