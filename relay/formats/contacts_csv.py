"""Contacts and leads as CSV, with the column names of Salesforce's fields.

Read: `Email` and `Id` must be there, `FirstName`, `LastName` and `Object` may be, others are passed
over; capitals and order do not matter. Written: these, and the three fields about bounces. Times
are ISO 8601 in UTC.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC
from typing import Final

from relay.core.addresses import parse_address
from relay.core.contacts import Contact, ContactObject, ContactStatus

COLUMNS: Final = (
    "Object",
    "Id",
    "Email",
    "FirstName",
    "LastName",
    "IsEmailBounced",
    "EmailBouncedReason",
    "EmailBouncedDate",
)
_NEEDED: Final = ("id", "email")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowProblem:
    """What is wrong in a file's line, counted from 1."""

    line: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsFile:
    """A file as read: its good rows, and what is wrong with each bad one."""

    contacts: tuple[Contact, ...]
    problems: tuple[RowProblem, ...]


def read_contacts(text: str, *, default: ContactObject) -> ContactsFile:
    """Read a file; a row without an `Object` gets `default`. Every bad row is reported."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    contacts: list[Contact] = []
    problems: list[RowProblem] = []
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in _NEEDED if name not in header]
        if missing:
            named = " and ".join(name.capitalize() for name in missing)
            return _unusable(1, f"the first line must name the columns; there is no {named}")
        if len(set(header)) < len(header):
            return _unusable(1, "a column is named twice")
        seen: dict[tuple[ContactObject, str], int] = {}
        for row in rows:
            if not any(cell.strip() for cell in row):
                continue
            try:
                contact = _contact(header, row, default)
                first = seen.setdefault((contact.object, contact.id), rows.line_num)
                if first != rows.line_num:
                    raise ValueError(f"the Id {contact.id!r} stands in line {first} already")
                contacts.append(contact)
            except ValueError as error:
                problems.append(RowProblem(line=rows.line_num, message=str(error)))
    except csv.Error as error:
        problems.append(RowProblem(line=rows.line_num, message=f"this is not CSV: {error}"))
    return ContactsFile(contacts=tuple(contacts), problems=tuple(problems))


def _unusable(line: int, message: str) -> ContactsFile:
    return ContactsFile(contacts=(), problems=(RowProblem(line=line, message=message),))


def _contact(header: list[str], row: list[str], default: ContactObject) -> Contact:
    if len(row) != len(header):
        raise ValueError(f"there are {len(row)} cells, and {len(header)} columns")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=True)}
    if not cells["id"]:
        raise ValueError("the Id is empty")
    if not cells["email"]:
        raise ValueError("the Email is empty")
    try:
        parse_address(cells["email"])
    except ValueError as error:
        raise ValueError(f"the Email {cells['email']!r} is no address: {error}") from None
    return Contact(
        object=_object(cells.get("object", ""), default),
        id=cells["id"],
        email=cells["email"],
        first_name=cells.get("firstname", ""),
        last_name=cells.get("lastname", ""),
    )


def _object(text: str, default: ContactObject) -> ContactObject:
    if not text:
        return default
    for known in ContactObject:
        if known.value.lower() == text.lower():
            return known
    allowed = ", ".join(known.value for known in ContactObject)
    raise ValueError(f"the Object {text!r} is not known; allowed: {allowed}")


def write_contacts(statuses: Iterable[ContactStatus]) -> Iterator[str]:
    """Yield the file line by line, the line of the column names first; lines end in CRLF."""
    yield _line(COLUMNS)
    for status in statuses:
        contact, date = status.contact, status.email_bounced_date
        yield _line(
            (
                contact.object.value,
                contact.id,
                contact.email,
                contact.first_name,
                contact.last_name,
                str(status.is_email_bounced).lower(),
                status.email_bounced_reason or "",
                f"{date.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if date else "",
            )
        )


def _line(cells: Iterable[str]) -> str:
    out = io.StringIO(newline="")
    csv.writer(out).writerow(cells)
    return out.getvalue()
