"""Contacts' bounce fields, folded from bounces."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from relay.core.contacts import (
    AddressBounce,
    Contact,
    ContactObject,
    address_key,
    contact_statuses,
    flag_of,
    soft_bounces,
)
from relay.core.salesforce import MatchingRecords
from relay.core.salesforce_view import BounceKind

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
CONTACT = Contact(
    object=ContactObject.CONTACT, id="003A", email="Bob@b.test", first_name="Bob", last_name="B"
)
LEAD = Contact(
    object=ContactObject.LEAD, id="00QA", email="bob@B.TEST", first_name="", last_name="B"
)
OTHER = Contact(
    object=ContactObject.LEAD, id="00QB", email="eve@b.test", first_name="", last_name=""
)


def bounce(
    hour: int,
    *,
    flags: bool = True,
    kind: BounceKind = BounceKind.HARD,
    recipient: str = "bob@b.test",
    matching: MatchingRecords = MatchingRecords.ALL,
) -> AddressBounce:
    return AddressBounce(
        bounce_id=f"b{hour}",
        recipient=recipient,
        at=NOON + timedelta(hours=hour),
        reason=f"reason {hour}",
        kind=kind,
        flags=flags,
        matching_records=matching,
    )


@pytest.mark.parametrize(
    ("cleared", "flag"),
    [(None, "b2"), (0, "b2"), (1, "b2"), (2, None), (3, None)],
)
def test_the_newest_flag_since_the_last_clear(cleared: int | None, flag: str | None) -> None:
    at = None if cleared is None else NOON + timedelta(hours=cleared)
    found = flag_of([bounce(1), bounce(2), bounce(3, flags=False)], at)
    assert (found.bounce_id if found else None) == flag


def test_every_record_with_the_address_is_flagged() -> None:
    bob, lead, eve = contact_statuses([CONTACT, LEAD, OTHER], [bounce(1), bounce(2)], {})
    assert bob.is_email_bounced
    assert bob.email_bounced_reason == "reason 2"
    assert bob.email_bounced_date == NOON + timedelta(hours=2)
    assert bob.bounce_id == "b2"
    assert lead.is_email_bounced
    assert not eve.is_email_bounced
    assert eve.email_bounced_reason is None


def test_or_the_first_one_alone() -> None:
    first = bounce(1, matching=MatchingRecords.FIRST)
    found = contact_statuses([OTHER, LEAD, CONTACT], [first], {})
    assert [status.is_email_bounced for status in found] == [False, True, False]


def test_a_clear_concerns_one_address() -> None:
    bounces = [bounce(1), bounce(1, recipient="eve@b.test")]
    cleared = {address_key("BOB@b.test"): NOON + timedelta(hours=1)}
    found = contact_statuses([CONTACT, OTHER], bounces, cleared)
    assert [status.is_email_bounced for status in found] == [False, True]


def test_soft_bounces_are_counted_from_the_last_clear() -> None:
    soft = [bounce(n, kind=BounceKind.SOFT, flags=False) for n in range(4)]
    assert soft_bounces([*soft, bounce(9)], None) == 4
    assert soft_bounces(soft, NOON + timedelta(hours=1)) == 2


def test_addresses_are_compared_without_case_and_in_a_labels() -> None:
    assert address_key("JÖRG@Bücher.Example") == address_key("jörg@xn--bcher-kva.example")
    assert address_key("a@b.test") != address_key("a@c.test")
