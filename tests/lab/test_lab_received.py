"""The store forgets the oldest first, never an open session, and says what it forgot."""

from __future__ import annotations

from datetime import UTC, datetime

from relay.core.transcripts import TranscriptLog
from relay.lab.received import ReceivedMessage, SessionRecord, SessionStore

AT = datetime(2026, 1, 1, tzinfo=UTC)


def record(name: str, *, ended: bool = True) -> SessionRecord:
    made = SessionRecord(
        session_id=name, receiver="r", peer="p", started_at=AT, log=TranscriptLog(lambda: AT)
    )
    made.ended_at = AT if ended else None
    return made


def message(size: int) -> ReceivedMessage:
    return ReceivedMessage(
        reverse_path="", recipients=(), content=b"x" * size, encrypted=False, at=AT
    )


def test_the_oldest_ended_session_goes_first() -> None:
    store = SessionStore(max_sessions=2)
    for made in (record("open", ended=False), record("old"), record("new")):
        store.add(made)
    assert [session.id for session in store.snapshot()] == ["open", "new"]


def test_open_sessions_are_kept_over_the_limit() -> None:
    store = SessionStore(max_sessions=1)
    for name in ("a", "b"):
        store.add(record(name, ended=False))
    assert [session.id for session in store.snapshot()] == ["a", "b"]


def test_the_oldest_messages_go_first_and_are_counted() -> None:
    store = SessionStore(max_content=3 * message(1000).weight)
    first, second = record("first"), record("second")
    for made in (first, second):
        store.add(made)
        for size in (1000, 1000):
            store.keep(made, message(size))
    one, two = store.snapshot()
    assert (len(one.messages), one.messages_forgotten) == (1, 1)
    assert (len(two.messages), two.messages_forgotten) == (2, 0)
    store.keep(first, message(1000))
    assert [len(session.messages) for session in store.snapshot()] == [1, 2]
    assert store.snapshot()[0].messages_forgotten == 2


def test_the_newest_message_is_kept_whatever_its_size() -> None:
    store = SessionStore(max_content=10)
    made = record("only")
    store.add(made)
    for size in (50, 60):
        store.keep(made, message(size))
    (session,) = store.snapshot()
    assert [len(kept.content) for kept in session.messages] == [60]


def test_a_forgotten_session_makes_room_for_messages() -> None:
    store = SessionStore(max_sessions=1, max_content=2 * message(100).weight)
    for name in ("a", "b"):
        made = record(name)
        store.add(made)
        for _ in range(2):
            store.keep(made, message(100))
    (session,) = store.snapshot()
    assert (session.id, len(session.messages), session.messages_forgotten) == ("b", 2, 0)


def test_clearing_keeps_open_sessions_without_their_messages() -> None:
    store = SessionStore(max_content=2 * message(100).weight)
    still_open = record("open", ended=False)
    for made in (record("ended"), still_open):
        store.add(made)
        store.keep(made, message(100))
    store.clear()
    (session,) = store.snapshot()
    assert (session.id, session.messages, session.messages_forgotten) == ("open", (), 1)
    for _ in range(2):
        store.keep(still_open, message(100))
    assert len(store.snapshot()[0].messages) == 2


def test_content_stays_out_of_representations() -> None:
    assert "xxxx" not in repr(message(100))
