"""Contacts in their own file, and the part of the journal that their fields are folded from."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import record_builders as build
from journal_records import NOON, a_bounce, a_message

from relay.core.contacts import Contact, ContactObject
from relay.core.salesforce_view import BounceKind
from relay.journal.api import Batch
from relay.journal.contacts_store import ContactsError, ContactsStore, Imported
from relay.journal.sqlite_journal import open_journal

BOB = Contact(
    object=ContactObject.CONTACT, id="003A", email="Bob@b.test", first_name="Bob", last_name="B"
)
LEAD = replace(BOB, object=ContactObject.LEAD, email="BOB@B.test")
VIEW = build.view(reason="550 5.1.1 no", at=NOON)


@pytest.fixture
def store(tmp_path: Path) -> ContactsStore:
    return ContactsStore(tmp_path / "new/contacts.sqlite3")


def test_a_file_that_is_not_there_is_empty_and_is_not_made_by_reading(
    store: ContactsStore, tmp_path: Path
) -> None:
    assert store.contacts() == ()
    assert store.cleared_at("bob@b.test") is None
    assert not (tmp_path / "new").exists()


def test_import_adds_and_updates_by_object_and_id(store: ContactsStore) -> None:
    assert store.add([BOB, LEAD]) == Imported(added=2, updated=0)
    moved = replace(BOB, email="bob@c.test")
    eve = replace(BOB, id="003B", email="eve@b.test")
    assert store.add([moved, eve]) == Imported(added=1, updated=1)
    assert store.contacts() == (moved, LEAD, eve)
    assert store.contacts("bOb@B.TEST") == (LEAD,)
    assert store.add([]) == Imported(added=0, updated=0)


def test_an_import_that_fails_leaves_nothing(store: ContactsStore) -> None:
    store.add([BOB])

    def rows() -> object:
        yield replace(BOB, id="003C")
        raise ValueError("the file ends here")

    with pytest.raises(ValueError, match="ends here"):
        store.add(rows())  # type: ignore[arg-type]
    assert store.contacts() == (BOB,)


def test_clearing_is_remembered_by_address(store: ContactsStore) -> None:
    store.clear("Bob@B.test", NOON)
    store.clear("bob@b.test", NOON + timedelta(hours=1))
    assert store.cleared_at("BOB@b.test") == NOON + timedelta(hours=1)
    assert store.cleared() == {"bob@b.test": NOON + timedelta(hours=1)}


def test_another_program_s_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.sqlite3"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE contacts (x)")
    with pytest.raises(ContactsError, match="no file of contacts"):
        ContactsStore(path).add([BOB])
    path.write_text("no database at all, but long enough to be looked at " * 20)
    with pytest.raises(ContactsError, match="can't be used"):
        ContactsStore(path).contacts()


async def test_the_journal_tells_what_bounce_management_counted(tmp_path: Path) -> None:
    soft = replace(VIEW, kind=BounceKind.SOFT, contact_flagged=False)
    async with open_journal(tmp_path / "j.sqlite3", bounce_lines=None) as journal:
        await journal.writer.write(
            Batch(
                messages=(a_message(1),),
                bounces=(
                    a_bounce(1, recipient="u@bank.test", salesforce=VIEW),
                    a_bounce(2, recipient="U@Bank.test", salesforce=soft),
                    a_bounce(3, recipient="v@bank.test", salesforce=VIEW),
                    a_bounce(4, salesforce=None),
                    a_bounce(5, salesforce=replace(VIEW, is_bounced=False)),
                ),
            )
        )
        assert [found.recipient for found in journal.reader.address_bounces()] == [
            "u@bank.test",
            "U@Bank.test",
            "v@bank.test",
        ]
        hard, gentle = journal.reader.address_bounces("u@BANK.test")
    assert (hard.kind, hard.flags, hard.reason, hard.at) == (
        BounceKind.HARD,
        True,
        "550 5.1.1 no",
        NOON,
    )
    assert (gentle.kind, gentle.flags) == (BounceKind.SOFT, False)


async def test_an_older_journal_gets_the_index_and_is_read_without_it(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite3"
    async with open_journal(path, bounce_lines=None) as journal:
        await journal.writer.write(
            Batch(messages=(a_message(1),), bounces=(a_bounce(1, salesforce=VIEW),))
        )
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP INDEX bounces_by_address")
    async with open_journal(path, bounce_lines=None) as journal:
        assert len(journal.reader.address_bounces()) == 1
    with closing(sqlite3.connect(path)) as raw:
        plan = raw.execute(
            "EXPLAIN QUERY PLAN SELECT id FROM bounces WHERE address = 'x' COLLATE NOCASE"
        ).fetchall()
    assert "bounces_by_address" in str(plan)
