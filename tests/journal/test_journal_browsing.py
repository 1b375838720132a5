"""Searching the journal, and reading it as a stream of events."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from journal_records import NOON, a_bounce, a_message, a_session, an_attempt, an_envelope

from relay.core.evidence import HandshakeFailed, HandshakeProblem
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, Bounce, Envelope, RecipientOutcome, SessionDirection
from relay.core.replies import Reply
from relay.core.settings import Protection
from relay.journal.api import Batch, Deletion, RecipientState
from relay.journal.browsing import Position, SqliteBrowser, open_browser
from relay.journal.searching import HandshakeKind, MessageFilter, OutcomeKind
from relay.journal.sqlite_journal import SqliteJournal, open_journal

DELIVERED = RecipientOutcome(
    recipient="Jane@Shop.test",
    outcome=Delivered(reply=Reply(code=250, text="ok"), protection=Protection.VERIFIED),
)


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=None) as opened:
        await opened.writer.write(
            Batch(
                messages=(
                    a_message(1),
                    a_message(
                        2,
                        recipients=("Jane@Shop.test", "u@other.test"),
                        state=RecipientState.QUEUED,
                        next_at=NOON,
                        subject="100% off_now",
                        reverse_path="News@Letter.test",
                    ),
                ),
                sessions=(a_session(1), a_session(2, direction=SessionDirection.INBOUND)),
                attempts=(
                    an_attempt(1, message=1),
                    an_attempt(
                        2,
                        message=2,
                        outcomes=(DELIVERED,),
                        verdict=None,
                        ended_at=NOON + timedelta(hours=1),
                    ),
                ),
                bounces=(a_bounce(1, message=1),),
            )
        )
        yield opened


@pytest.fixture
def browser(journal: SqliteJournal) -> Iterator[SqliteBrowser]:
    with closing(open_browser(journal.path)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("marks", "found"),
    [
        ({}, [2, 1]),
        ({"recipient": "JANE@shop.test"}, [2]),
        ({"domain": "bank.test"}, [1]),
        ({"domain": "shop.test", "recipient": "u@other.test"}, []),
        ({"state": RecipientState.QUEUED}, [2]),
        ({"code": "451 4.7.5"}, [1]),
        ({"code": "451 4.7.6"}, []),
        ({"outcome": OutcomeKind.DEFERRED}, [1]),
        ({"protection": Protection.VERIFIED}, [2]),
        ({"protection": Protection.CLEAR}, []),
        ({"since": NOON + timedelta(seconds=2)}, [2]),
        ({"until": NOON + timedelta(seconds=2)}, [1]),
        ({"text": "0% OFF_"}, [2]),
        ({"text": "%"}, [2]),
        ({"text": "letter.TEST"}, [2]),
        ({"text": "bank"}, [1]),
        ({"text": "' OR 1=1 --"}, []),
    ],
)
def test_a_search_finds_what_every_mark_applies_to(
    browser: SqliteBrowser, marks: dict[str, Any], found: list[int]
) -> None:
    wanted = MessageFilter(**marks)
    names = [f"m{number:016d}" for number in found]
    assert [m.envelope.id for m in browser.find_messages(10, wanted)] == names
    assert sorted(browser.find_recipients(wanted)) == sorted(names)
    if names:
        older = browser.find_messages(10, wanted, before=names[0])
        assert [m.envelope.id for m in older] == names[1:]


def test_a_code_that_is_none_is_told(browser: SqliteBrowser) -> None:
    with pytest.raises(ValueError, match="not a code"):
        browser.find_messages(1, MessageFilter(code="4.7"))


def test_attempts_sessions_and_domains(browser: SqliteBrowser) -> None:
    assert [a.id for a in browser.attempts(10, domain="shop.test")] == [
        browser.attempt("latest").id
    ]
    # Nobody tried the other domain of that message yet.
    assert browser.attempts(10, domain="other.test") == ()
    assert len(browser.attempts(10, outcome=OutcomeKind.DEFERRED)) == 1
    (inbound,) = browser.find_sessions(10, direction=SessionDirection.INBOUND)
    assert browser.session(inbound.id) == inbound
    assert browser.find_sessions(10, handshake=HandshakeKind.FAILED) == ()
    assert len(browser.find_sessions(10, handshake=HandshakeKind.DONE)) == 2
    counted = {d.domain: d.messages for d in browser.domains(10)}
    assert counted == {"bank.test": 1, "shop.test": 1, "other.test": 1}
    assert len(browser.domains(10, offset=2)) == 1


async def test_a_failed_handshake_is_found(journal: SqliteJournal, browser: SqliteBrowser) -> None:
    good = a_session(3)
    assert good.evidence is not None
    failed = HandshakeFailed(problem=HandshakeProblem.CLOSED, detail="eof")
    from dataclasses import replace

    broken = replace(good, evidence=replace(good.evidence, handshake=failed))
    await journal.writer.write(Batch(sessions=(broken,)))
    assert browser.find_sessions(10, handshake=HandshakeKind.FAILED) == (broken,)


def test_events_come_in_the_order_of_time_and_resume_at_any_position(
    browser: SqliteBrowser,
) -> None:
    every = browser.events(Position(), 100)
    kinds = [type(event.record) for event in every]
    assert kinds.count(Envelope) == 2
    assert kinds.count(Attempt) == 2
    assert kinds.count(Bounce) == 1
    assert every[-1].position == browser.position()
    for at, event in enumerate(every):
        again = Position.parse(str(event.position))
        assert browser.events(again, 100) == every[at + 1 :]
    assert browser.events(Position(), 2) == every[:2]


@pytest.mark.parametrize(
    ("asked", "messages"),
    [
        ({"domain": "Bank.test"}, {1}),
        ({"domain": "other.test"}, {2}),
        ({"domain": "nowhere.test"}, set()),
        ({"message": an_envelope(2).id}, {2}),
        ({"message": an_envelope(2).id, "domain": "bank.test"}, set()),
        ({"message": "m-unknown"}, set()),
    ],
)
def test_events_of_one_message_or_domain_alone(
    browser: SqliteBrowser, asked: dict[str, str], messages: set[int]
) -> None:
    ids = {an_envelope(number).id for number in messages}
    every = browser.events(Position(), 100)
    wanted = [event.record for event in every if _message_of(event.record) in ids]
    found = browser.events(Position(), 100, **asked)
    assert [event.record for event in found] == wanted
    for at, event in enumerate(found):
        later = browser.events(event.position, 100, **asked)
        assert [again.record for again in later] == wanted[at + 1 :]


def _message_of(record: Envelope | Attempt | Bounce) -> str:
    return record.id if isinstance(record, Envelope) else record.message_id


async def test_a_position_outlives_what_is_deleted(
    journal: SqliteJournal, browser: SqliteBrowser
) -> None:
    before = browser.position()
    doomed = tuple(browser.find_recipients())
    await journal.writer.write(Batch(deletions=(Deletion(messages=doomed),)))
    assert browser.position() == before
    await journal.writer.write(Batch(messages=(a_message(3),)))
    (event,) = browser.events(before, 10)
    assert isinstance(event.record, Envelope)


def test_a_position_in_time(browser: SqliteBrowser) -> None:
    late = browser.events(browser.position(NOON + timedelta(minutes=30)), 10)
    assert [type(event.record) for event in late] == [Attempt]
    assert browser.position(NOON + timedelta(days=1)) == browser.position()


@pytest.mark.parametrize("text", ["", "1-2", "a-b-c", "1-2-3-4", "-1-2-3", "9" * 30 + "-0-0"])
def test_what_is_no_position_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="position"):
        Position.parse(text)
