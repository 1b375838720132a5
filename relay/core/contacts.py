"""Contacts and leads, and what bounces make of them. Pure.

A contact's bounce fields are no record of their own: they are a fold over the bounces recorded for
its address since that was last cleared, so nothing is written twice and nothing can disagree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique

from relay.core.addresses import parse_address
from relay.core.salesforce import MatchingRecords
from relay.core.salesforce_view import BounceKind


@unique
class ContactObject(Enum):
    """The Salesforce object that a record belongs to."""

    CONTACT = "Contact"
    LEAD = "Lead"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A contact or lead as imported; `id` is Salesforce's, unique within its object."""

    object: ContactObject
    id: str
    email: str
    first_name: str
    last_name: str

    @property
    def name(self) -> str:
        """First and last name, as far as there are any."""
        return f"{self.first_name} {self.last_name}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressBounce:
    """What a bounce means for its address: the part of its record that contacts are folded from.

    `reason` is EmailBouncedReason as it would read; `flags` tells whether it is written.
    """

    bounce_id: str
    recipient: str
    at: datetime
    reason: str
    kind: BounceKind
    flags: bool
    matching_records: MatchingRecords


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactStatus:
    """A contact with Salesforce's three fields; reason, date and bounce are None without a flag."""

    contact: Contact
    is_email_bounced: bool
    email_bounced_reason: str | None
    email_bounced_date: datetime | None
    bounce_id: str | None


def address_key(email: str) -> str:
    """Return what addresses are compared by: without regard to case, the domain in A-labels."""
    try:
        address = parse_address(email)
    except ValueError:
        return email.casefold()
    return f"{address.local.casefold()}@{address.domain}"


def flag_of(bounces: Iterable[AddressBounce], cleared_at: datetime | None) -> AddressBounce | None:
    """Return the newest bounce that flags an address, None where it is not flagged.

    `bounces` are all of one address, oldest first.
    """
    flag = None
    for bounce in bounces:
        if bounce.flags and (cleared_at is None or bounce.at > cleared_at):
            flag = bounce
    return flag


def soft_bounces(bounces: Iterable[AddressBounce], cleared_at: datetime | None) -> int:
    """Count the soft bounces of one address since it was cleared."""
    return sum(
        bounce.kind is BounceKind.SOFT and (cleared_at is None or bounce.at > cleared_at)
        for bounce in bounces
    )


def by_address(bounces: Iterable[AddressBounce]) -> dict[str, list[AddressBounce]]:
    """Sort bounces by the key of their address, each one's in the order given."""
    found: dict[str, list[AddressBounce]] = {}
    for bounce in bounces:
        found.setdefault(address_key(bounce.recipient), []).append(bounce)
    return found


def contact_statuses(
    contacts: Sequence[Contact],
    bounces: Iterable[AddressBounce],
    cleared: Mapping[str, datetime],
) -> tuple[ContactStatus, ...]:
    """Return each contact with its bounce fields.

    `contacts` come in the order of their import, `bounces` oldest first; `cleared` tells by key
    when an address was last cleared.
    """
    of = by_address(bounces)
    flags = {key: flag_of(found, cleared.get(key)) for key, found in of.items()}
    seen: set[str] = set()
    statuses = []
    for contact in contacts:
        key = address_key(contact.email)
        flag = flags.get(key)
        if flag is not None and flag.matching_records is MatchingRecords.FIRST and key in seen:
            flag = None
        seen.add(key)
        statuses.append(
            ContactStatus(
                contact=contact,
                is_email_bounced=flag is not None,
                email_bounced_reason=flag.reason if flag else None,
                email_bounced_date=flag.at if flag else None,
                bounce_id=flag.bounce_id if flag else None,
            )
        )
    return tuple(statuses)
