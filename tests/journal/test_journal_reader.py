from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import record_builders as build
from journal_records import (
    NOON,
    a_bounce,
    a_message,
    a_session,
    a_story,
    an_attempt,
    an_envelope,
)

from relay.core.records import SessionDirection
from relay.core.replies import StatusCode
from relay.journal import sqlite_reader
from relay.journal.api import (
    Batch,
    Deletion,
    DueRecipient,
    NotFound,
    RecipientState,
    RecipientStatus,
    RecipientUpdate,
)
from relay.journal.bodies import SMALL
from relay.journal.sqlite_journal import SqliteJournal, open_journal


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=None) as opened:
        yield opened


def ids(found: object) -> list[int]:
    return [int(summary.envelope.id[1:]) for summary in found]  # type: ignore[attr-defined]


async def test_a_messages_whole_way(journal: SqliteJournal) -> None:
    inbound = a_session(9, direction=SessionDirection.INBOUND, hop=None, evidence=None, faults=())
    new = a_message(
        1,
        recipients=("u@bank.test", "v@bank.test"),
        state=RecipientState.QUEUED,
        next_at=NOON,
        session_id=inbound.id,
    )
    later = NOON + timedelta(minutes=5, microseconds=1)
    await journal.writer.write(Batch(messages=(new,), sessions=(inbound,)))
    await journal.writer.write(a_story(2))
    await journal.writer.write(
        Batch(
            sessions=(a_session(1),),
            attempts=(an_attempt(1),),
            bounces=(a_bounce(1),),
            updates=(
                RecipientUpdate(
                    message_id=new.envelope.id,
                    recipient="v@bank.test",
                    state=RecipientState.QUEUED,
                    next_at=later,
                ),
                RecipientUpdate(
                    message_id=new.envelope.id,
                    recipient="u@bank.test",
                    state=RecipientState.FAILED,
                    next_at=None,
                ),
            ),
        )
    )
    record = journal.reader.message(new.envelope.id)
    assert record.envelope == new.envelope
    assert record.recipients == (
        RecipientStatus(recipient="u@bank.test", state=RecipientState.FAILED, next_at=None),
        RecipientStatus(recipient="v@bank.test", state=RecipientState.QUEUED, next_at=later),
    )
    assert record.attempts == (an_attempt(1),)
    assert record.sessions == (inbound, a_session(1))
    assert record.bounces == (a_bounce(1),)
    assert journal.reader.content(new.envelope.id) == new.content


async def test_a_session_that_is_not_recorded_yet_is_no_error(journal: SqliteJournal) -> None:
    await journal.writer.write(Batch(messages=(a_message(1, session_id="s-still-open"),)))
    assert journal.reader.message("latest").sessions == ()


async def test_whole_records_come_oldest_first_and_paged(journal: SqliteJournal) -> None:
    for number in range(1, 6):
        await journal.writer.write(a_story(number))
    read = journal.reader
    everything = tuple(read.message(an_envelope(number).id) for number in range(1, 6))
    assert read.records(10) == everything
    assert read.records(2) == everything[:2]
    assert read.records(2, after=an_envelope(2).id) == everything[2:4]
    assert read.records(2, after=an_envelope(5).id) == ()
    with pytest.raises(NotFound):
        read.records(2, after="m-unknown")


async def test_records_since_a_time_begin_there(journal: SqliteJournal) -> None:
    times = [NOON + timedelta(minutes=minutes) for minutes in (0, 10, 5, 20)]
    for number, at in enumerate(times, 1):
        await journal.writer.write(Batch(messages=(a_message(number, received_at=at),)))

    def since(at: datetime, **asked: Any) -> list[str]:
        found = journal.reader.records(9, since=at, **asked)
        return [record.envelope.id for record in found]

    ids = [an_envelope(number).id for number in range(1, 5)]
    assert since(NOON) == ids
    assert since(NOON + timedelta(microseconds=1)) == ids[1:]
    assert since(times[1].astimezone(timezone(timedelta(hours=5)))) == ids[1:]
    assert since(times[3]) == ids[3:]
    assert since(times[3] + timedelta(microseconds=1)) == []
    assert since(times[1], after=ids[1]) == ids[2:]


async def test_records_with_events_since_a_time_begin_with_the_first_of_them(
    journal: SqliteJournal,
) -> None:
    late = NOON + timedelta(hours=5)
    await journal.writer.write(
        Batch(
            messages=tuple(a_message(number, received_at=NOON) for number in (1, 2, 3, 4)),
            attempts=(an_attempt(1, message=2, ended_at=late),),
            bounces=(a_bounce(1, message=3, at=late + timedelta(hours=1)),),
        )
    )

    def since(at: datetime, **asked: Any) -> list[str]:
        found = journal.reader.records(9, since=at, events=True, **asked)
        return [record.envelope.id for record in found]

    ids = [an_envelope(number).id for number in range(1, 5)]
    assert since(NOON) == ids
    assert since(late) == ids[1:]
    assert since(late, after=ids[1]) == ids[2:]
    assert since(late + timedelta(microseconds=1)) == ids[2:]
    assert since(late + timedelta(hours=2)) == []
    assert journal.reader.records(9, since=late) == ()


async def test_contents_are_read_together_wherever_they_stand(journal: SqliteJournal) -> None:
    small, big = b"Subject: x\r\n\r\nhi\r\n", b"Subject: x\r\n\r\n" + b"x" * (SMALL + 1)
    for number, content in enumerate((small, big, small), 1):
        await journal.writer.write(Batch(messages=(a_message(number, content=content),)))
    read, ids = journal.reader, [an_envelope(number).id for number in range(1, 4)]
    assert read.contents([*ids, "m-unknown"]) == dict(zip(ids, (small, big, small), strict=True))
    assert read.sequences() == (1, 2, 3)
    await journal.writer.write(Batch(deletions=(Deletion(messages=(ids[0],)),)))
    assert read.contents(ids[:2]) == {ids[1]: big}
    assert read.contents([]) == {}
    assert read.sequences() == (2, 3)


async def test_messages_that_bounced_are_those_that_were_counted(journal: SqliteJournal) -> None:
    for number in range(1, 4):
        await journal.writer.write(a_story(number))
    assert journal.reader.bounced_messages() == frozenset()
    counted = build.view(reason="550 5.1.1 no such user", is_bounced=True)
    bounce = a_bounce(9, message=2, salesforce=counted)
    await journal.writer.write(Batch(bounces=(bounce,)))
    assert journal.reader.bounced_messages() == {an_envelope(2).id}


async def test_arrivals_are_listed_by_number_whatever_was_deleted(journal: SqliteJournal) -> None:
    for number in range(1, 5):
        await journal.writer.write(a_story(number))
    read, ids = journal.reader, [an_envelope(number).id for number in range(1, 5)]
    first, second = read.arrivals(2)
    assert [first.id, second.id] == ids[:2]
    assert (first.received_at, first.size) == (an_envelope(1).received_at, an_envelope(1).size)
    await journal.writer.write(Batch(deletions=(Deletion(messages=(second.id, ids[3])),)))
    assert [arrival.id for arrival in read.arrivals(9, after=second.sequence)] == [ids[2]]
    last = read.arrivals(9)[-1]
    assert read.arrivals(9, after=last.sequence) == ()
    await journal.writer.write(a_story(5))
    assert [arrival.id for arrival in read.arrivals(9, after=last.sequence)] == [an_envelope(5).id]
    assert read.envelopes([*ids, "m-unknown"]) == {
        ids[0]: read.message(ids[0]).envelope,
        ids[2]: read.message(ids[2]).envelope,
    }
    assert read.envelopes(()) == {}


async def test_many_records_take_as_many_queries_as_one(journal: SqliteJournal) -> None:
    for number in range(1, 6):
        await journal.writer.write(a_story(number))
    asked: list[str] = []
    assert isinstance(journal.reader, sqlite_reader.SqliteReader)
    journal.reader._connection.set_trace_callback(asked.append)
    assert len(journal.reader.records(1)) == 1
    of_one, asked[:] = len(asked), []
    assert len(journal.reader.records(5)) == 5
    assert len(asked) == of_one


async def test_a_record_can_do_without_its_sessions(journal: SqliteJournal) -> None:
    await journal.writer.write(a_story(1))
    whole = journal.reader.message("latest")
    assert whole.sessions
    without = replace(whole, sessions=())
    assert journal.reader.message("latest", sessions=False) == without
    assert journal.reader.records(1, sessions=False) == (without,)


async def test_lists_are_newest_first_and_paged(journal: SqliteJournal) -> None:
    for number in range(1, 8):
        await journal.writer.write(a_story(number))
    read = journal.reader
    assert ids(read.messages(3)) == [7, 6, 5]
    assert ids(read.messages(3, before=an_envelope(5).id)) == [4, 3, 2]
    assert ids(read.messages(3, before=an_envelope(5).id, domain="bank.test")) == [4, 3, 2]
    assert read.messages(3, before=an_envelope(1).id) == ()
    assert read.bounces(2, before=a_bounce(3).id) == (
        a_bounce(2, message=2, session_id=a_session(2).id),
        a_bounce(1, message=1, session_id=a_session(1).id),
    )
    assert read.sessions(2, before=a_session(3).id) == (a_session(2), a_session(1))
    assert len(read.sessions(50)) == 7
    with pytest.raises(NotFound):
        read.messages(3, before="m-unknown")


async def test_messages_are_filtered_by_one_recipient(journal: SqliteJournal) -> None:
    queued, failed, delivered = (
        RecipientState.QUEUED,
        RecipientState.FAILED,
        RecipientState.DELIVERED,
    )
    await journal.writer.write(
        Batch(
            messages=(
                a_message(1, recipients=("Ann@bank.test",), state=queued, next_at=NOON),
                a_message(2, recipients=("bob@aco.bank.test", "ann@bank.test"), state=failed),
                a_message(3, recipients=("ann@other.test", "cid@bank.test"), state=delivered),
                a_message(4, recipients=("a@bank.test", "b@bank.test"), state=delivered),
            )
        )
    )
    read = journal.reader
    assert ids(read.messages(9, domain="bank.test")) == [4, 3, 2, 1]
    assert ids(read.messages(9, domain="Bank.Test.")) == [4, 3, 2, 1]
    assert ids(read.messages(9, domain="aco.bank.test")) == [2]
    assert ids(read.messages(9, recipient="ann@BANK.test")) == [2, 1]
    assert ids(read.messages(9, state=delivered)) == [4, 3]
    assert ids(read.messages(9, recipient="ann@bank.test", state=queued)) == [1]
    assert ids(read.messages(9, recipient="ann@bank.test", domain="other.test")) == []
    assert ids(read.messages(1, domain="bank.test", state=delivered)) == [4]
    assert read.messages(9, domain="no such domain") == ()


async def test_bounces_are_filtered(journal: SqliteJournal) -> None:
    await journal.writer.write(a_story(1))
    final = StatusCode(554, "5.4.7")
    other = replace(a_bounce(2), recipient="Who@aco.test", status=final)
    await journal.writer.write(Batch(bounces=(other,)))
    read = journal.reader
    assert read.bounces(9, code="554") == (other,)
    assert read.bounces(9, code="5.4.7") == (other,)
    assert read.bounces(9, code="554 5.4.7") == (other,)
    assert read.bounces(9, code="451 5.4.7") == ()
    assert read.bounces(9, domain="aco.test") == (other,)
    assert read.bounces(9, recipient="who@ACO.test") == (other,)
    assert read.bounces(9, recipient="who@aco.test", code="451") == ()
    assert [bounce.id for bounce in read.bounces(9)] == [a_bounce(2).id, a_bounce(1).id]
    for wrong in ("", " ", "45", "4.7", "TLS", "451 4.7.5 x"):
        with pytest.raises(ValueError, match="not a code"):
            read.bounces(9, code=wrong)


async def test_an_id_may_be_a_beginning_or_latest(journal: SqliteJournal) -> None:
    read = journal.reader
    for missing in (read.message, read.content, read.bounce, read.session):
        with pytest.raises(NotFound, match=r"no .* yet"):
            missing("latest")
    for number in (1, 2, 20):
        await journal.writer.write(a_story(number))
    assert read.message("latest").envelope == an_envelope(20)
    assert read.bounce("latest").id == a_bounce(20).id
    assert read.session("latest") == a_session(20)
    assert read.session("s000000000000000" + "1") == a_session(1)
    assert read.session("s00000000000000" + "2") == a_session(20)
    assert read.bounce(" " + a_bounce(2).id + "\n").id == a_bounce(2).id
    with pytest.raises(NotFound, match="several ids begin"):
        read.session("s0")
    for unknown in ("", "x", "s1", "%", "latest ", "S" + a_session(1).id[1:]):
        with pytest.raises(NotFound, match="the journal has no session"):
            read.session(unknown)


async def test_a_whole_id_is_found_although_a_longer_one_begins_with_it(
    journal: SqliteJournal,
) -> None:
    await journal.writer.write(Batch(sessions=(a_session(1, id="s1"), a_session(2, id="s10"))))
    assert journal.reader.session("s1").id == "s1"


async def test_the_newest_message_with_a_header(journal: SqliteJournal) -> None:
    same = "<same@crm.test>"
    await journal.writer.write(
        Batch(
            messages=(
                a_message(1, message_id_header=same),
                a_message(2, message_id_header=same),
                a_message(3, message_id_header=None),
            )
        )
    )
    assert journal.reader.find_by_message_id_header(same) == an_envelope(2).id
    assert journal.reader.find_by_message_id_header("<other>") is None


async def test_the_queue(journal: SqliteJournal) -> None:
    queued = RecipientState.QUEUED
    read, second = journal.reader, timedelta(seconds=1)
    assert read.due(NOON, 9) == ()
    await journal.writer.write(
        Batch(
            messages=(
                a_message(1, state=queued, next_at=NOON + second),
                a_message(2, recipients=("a@x.test", "b@x.test"), state=queued, next_at=NOON),
                a_message(3, state=RecipientState.DELIVERED),
            ),
            updates=(
                RecipientUpdate(
                    message_id=an_envelope(2).id,
                    recipient="a@x.test",
                    state=queued,
                    next_at=NOON + 2 * second,
                ),
            ),
        )
    )
    due = [
        DueRecipient(
            message_id=an_envelope(number).id, recipient=one, next_at=at, octets=an_envelope(1).size
        )
        for number, one, at in (
            (2, "b@x.test", NOON),
            (1, "u@bank.test", NOON + second),
            (2, "a@x.test", NOON + 2 * second),
        )
    ]
    assert read.due(NOON - second, 9) == ()
    assert read.due(NOON, 9) == tuple(due[:1])
    assert read.due(NOON + 5 * second, 9) == tuple(due)
    assert read.due(NOON + 5 * second, 2) == tuple(due[:2])
    later = NOON + 5 * second
    assert read.due(later, 9, not_messages=[an_envelope(2).id]) == tuple(due[1:2])
    assert read.due(later, 9, not_domains=["bank.test"]) == (due[0], due[2])
    assert read.due(later, 1, not_domains=["X.test"]) == tuple(due[1:2])


async def test_one_recipients_history(journal: SqliteJournal) -> None:
    to_v = replace(an_attempt(2).outcomes[0], recipient="v@bank.test")
    attempts = (
        an_attempt(1),
        an_attempt(2, outcomes=(to_v,)),
        an_attempt(3, outcomes=(to_v, *an_attempt(3).outcomes)),
    )
    await journal.writer.write(Batch(messages=(a_message(1),), attempts=attempts))
    message = an_envelope(1).id
    assert journal.reader.attempts_of(message, "u@bank.test") == (attempts[0], attempts[2])
    assert journal.reader.attempts_of(message, "v@bank.test") == attempts[1:]
    assert journal.reader.attempts_of(message, "w@bank.test") == ()
    with pytest.raises(NotFound):
        journal.reader.attempts_of("m-unknown", "u@bank.test")


async def test_attempts_at_a_domain_come_from_its_newest_messages(journal: SqliteJournal) -> None:
    to_x = (replace(an_attempt().outcomes[0], recipient="a@x.test"),)
    attempts = (
        an_attempt(1),
        an_attempt(2, outcomes=to_x),
        an_attempt(3, message=2),
        an_attempt(4, message=1),
    )
    messages = (a_message(1, recipients=("u@bank.test", "a@x.test")), a_message(2))
    await journal.writer.write(Batch(messages=messages, attempts=attempts))
    read = journal.reader
    assert read.attempts_to("Bank.test", messages=9) == (attempts[0], *attempts[2:])
    assert read.attempts_to("bank.test", messages=1) == (attempts[2],)
    assert read.attempts_to("x.test", messages=9) == (attempts[1],)
    assert read.attempts_to("sub.bank.test", messages=9) == ()


async def test_counts_have_every_state(journal: SqliteJournal) -> None:
    assert set(journal.reader.counts().recipients.values()) == {0}
    await journal.writer.write(a_story(1))
    await journal.writer.write(
        Batch(messages=(a_message(2, recipients=("a@x.test", "b@x.test")),), sessions=())
    )
    counts = journal.reader.counts()
    assert (counts.messages, counts.sessions, counts.attempts, counts.bounces) == (2, 1, 1, 1)
    assert counts.recipients == {
        RecipientState.QUEUED: 0,
        RecipientState.INLINE: 2,
        RecipientState.DELIVERED: 0,
        RecipientState.FAILED: 1,
        RecipientState.ABANDONED: 0,
    }


async def test_no_query_walks_a_table(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every look-up and list must cost the same with a million messages as with one."""
    await journal.writer.write(a_story(1))
    plans: list[str] = []

    def explained(self: sqlite_reader.Query, sql: str, *parameters: str | int) -> list[object]:
        connection: sqlite3.Connection = self.connection
        plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters).fetchall()
        plans.extend(row[3] for row in plan)
        return connection.execute(sql, parameters).fetchall()

    monkeypatch.setattr(sqlite_reader.Query, "__call__", explained)
    read, everyone = journal.reader, "u@bank.test"
    read.messages(5)
    read.messages(5, before="latest")
    read.messages(5, domain="bank.test")
    read.messages(5, recipient=everyone, state=RecipientState.FAILED)
    read.messages(5, state=RecipientState.FAILED, before="latest")
    read.message("latest")
    read.message(an_envelope(1).id)
    read.content("latest")
    read.arrivals(5, after=1)
    read.records(5, since=NOON)
    read.envelopes([an_envelope(1).id])
    read.contents([an_envelope(1).id])
    read.find_by_message_id_header("<1@crm.test>")
    read.attempts_of("latest", everyone)
    read.bounces(5)
    read.bounces(5, domain="bank.test", recipient=everyone, code="451 4.7.5")
    read.bounces(5, domain="bank.test")
    read.bounces(5, code="4.7.5")
    read.bounce("latest")
    read.sessions(5)
    read.session(a_session(1).id)
    read.due(NOON, 5)
    harmless = ("SCAN (subquery", "SCAN json_each")
    walks = [step for step in plans if "SCAN" in step and not step.startswith(harmless)]
    assert walks == []
    sorts = [step for step in plans if "TEMP B-TREE" in step]
    assert sorts == []
    for index in (
        "messages_by_time (<expr>>?)",
        "recipients_by_domain (domain=? AND message<?)",
        "recipients_by_state (state=? AND message<?)",
        "recipients_due (next_at<?)",
        "messages_by_header (message_id_header=?)",
        "attempts_by_message (message=?)",
        "bounces_by_message (message=?)",
        "bounces_by_domain (domain=? AND rowid<?)",
        "bounces_by_enhanced (enhanced=? AND rowid<?)",
    ):
        assert any(index in step for step in plans), (index, plans)
