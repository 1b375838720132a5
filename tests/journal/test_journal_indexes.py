"""Lists and searches read an index, never a table from end to end; old journals get the indexes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
from journal_records import NOON, a_story

from relay.journal.api import RecipientState
from relay.journal.browsing import SqliteBrowser, open_browser
from relay.journal.searching import MessageFilter
from relay.journal.sqlite_journal import open_journal

LATE = NOON + timedelta(days=1)


async def fill(path: Path, count: int) -> None:
    async with open_journal(path, bounce_lines=None) as journal:
        for number in range(1, count + 1):
            await journal.writer.write(a_story(number))


def plans(path: Path, ask: Callable[[SqliteBrowser], object]) -> list[str]:
    """Return the plan of each query that SQLite makes of what is asked."""
    statements: list[str] = []
    with closing(open_browser(path)) as browser:
        browser._connection.set_trace_callback(statements.append)
        ask(browser)
    with closing(sqlite3.connect(path)) as connection:
        return [
            f"{row[3]}: {statement}"
            for statement in statements
            if statement.lstrip().startswith("SELECT")
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        ]


def found(**marks: object) -> Callable[[SqliteBrowser], object]:
    wanted = MessageFilter(**marks)  # type: ignore[arg-type]
    return lambda browser: browser.find_messages(50, wanted)


ASKED: dict[str, Callable[[SqliteBrowser], object]] = {
    "newest": lambda b: b.messages(50),
    "domain": lambda b: b.messages(50, domain="bank.test"),
    "state": lambda b: b.messages(50, state=RecipientState.FAILED),
    "recipient": lambda b: b.messages(50, recipient="U@bank.test"),
    "by its header": lambda b: b.find_by_message_id_header("<1@crm.test>"),
    "attempts to": lambda b: b.attempts_to("bank.test", messages=5),
    "due": lambda b: b.due(LATE, 100),
    "bounces": lambda b: b.bounces(50),
    "bounces of a domain": lambda b: b.bounces(50, domain="bank.test"),
    "bounces of a recipient": lambda b: b.bounces(50, recipient="u@bank.test"),
    "bounces of a code": lambda b: b.bounces(50, code="4.7.5"),
    "counted bounces": lambda b: b.address_bounces(),
    "found newest": found(),
    "found domain": found(domain="bank.test"),
    "found state": found(state=RecipientState.FAILED),
    "found recipient": found(recipient="U@bank.test"),
    "found code": found(code="451"),
    "found enhanced code": found(code="4.7.5"),
    "found since": found(since=NOON),
    "found until": found(until=LATE),
    "found all of it": found(since=NOON, until=LATE, domain="bank.test", code="451 4.7.5"),
    "events": lambda b: b.events(b.position(), 50),
}


@pytest.mark.parametrize("what", ASKED)
async def test_no_table_is_read_from_end_to_end(tmp_path: Path, what: str) -> None:
    path = tmp_path / "j.sqlite3"
    await fill(path, 3)
    made = plans(path, ASKED[what])
    assert made
    # A partial index holds only what is asked for, so that reading all of it is right.
    whole = [p for p in made if re.match(r"SCAN (?!json_each|\(subquery|o\b|CONSTANT)", p)]
    assert [p for p in whole if "bounces_counted" not in p] == []
    if what in {"found since", "found until"}:
        assert any("USING INDEX messages_by_time" in p for p in made)


@pytest.mark.parametrize("what", [name for name in ASKED if name.startswith("found ")])
async def test_one_mark_reads_no_more_than_a_list(tmp_path: Path, what: str) -> None:
    """With one mark, or none, nothing is sorted but a list's worth of sequence numbers."""
    path = tmp_path / "j.sqlite3"
    await fill(path, 3)
    sorts = [p for p in plans(path, ASKED[what]) if "TEMP B-TREE FOR ORDER BY" in p]
    assert sorts == [] or what in {"found since", "found until"}


async def test_each_mark_finds_what_it_found_in_pages(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    await fill(path, 7)
    marks: list[dict[str, object]] = [
        {"domain": "bank.test"},
        {"recipient": "U@BANK.test"},
        {"state": RecipientState.FAILED},
        {"code": "451 4.7.5"},
        {"since": NOON},
        {"until": LATE},
        {"code": "451", "domain": "bank.test", "since": NOON},
    ]
    with closing(open_browser(path)) as browser:
        everything = [m.envelope.id for m in browser.messages(99)]
        assert len(everything) == 7
        for mark in marks:
            wanted, before, pages = MessageFilter(**mark), None, list[str]()  # type: ignore[arg-type]
            while page := browser.find_messages(3, wanted, before=before):
                pages += [m.envelope.id for m in page]
                before = pages[-1]
            assert pages == everything, mark
        assert browser.find_messages(9, MessageFilter(since=NOON + timedelta(seconds=6))) != ()
        assert [
            int(m.envelope.id[1:])
            for m in browser.find_messages(
                9,
                MessageFilter(since=NOON + timedelta(seconds=3), until=NOON + timedelta(seconds=5)),
            )
        ] == [4, 3]


async def test_a_journal_without_the_indexes_is_read_and_gets_them(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    await fill(path, 3)
    with closing(sqlite3.connect(path)) as connection:
        added = [
            "messages_by_time",
            "recipients_by_address",
            "bounces_counted",
            "bounces_code_messages",
            "bounces_enhanced_messages",
        ]
        for name in added:
            connection.execute(f"DROP INDEX {name}")
    for ask in ASKED.values():
        with closing(open_browser(path)) as browser:
            ask(browser)
    async with open_journal(path, bounce_lines=None):
        pass
    with closing(sqlite3.connect(path)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert set(added) <= there


async def test_a_journal_with_an_index_that_nobody_reads_loses_it(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    await fill(path, 3)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE INDEX messages_by_session ON messages (json_extract(record, '$.session_id'))"
        )
    await fill(path, 0)
    with closing(sqlite3.connect(path)) as connection:
        there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    assert "messages_by_session" not in there
