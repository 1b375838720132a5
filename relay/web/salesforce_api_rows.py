"""What the Salesforce-shaped API knows: contacts and leads, and messages as EmailMessage.

    Contact, Lead    as imported, with the fields that bounces write
    EmailMessage     one for each message handed in; IsBounced as bounce management would set it

Notifications and what came back are no EmailMessage. Sources: Object Reference, "Contact", "Lead",
"EmailMessage".
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from types import MappingProxyType
from typing import Final

from relay.core.contacts import ContactObject, contact_statuses
from relay.formats.soql_answer import FieldType, Row, SalesforceObject
from relay.journal.api import JournalReader
from relay.journal.contacts_store import ContactsStore

_PAGE: Final = 500
_PERSON: Final = MappingProxyType(
    {
        "Id": FieldType.ID,
        "Email": FieldType.STRING,
        "FirstName": FieldType.STRING,
        "LastName": FieldType.STRING,
        "Name": FieldType.STRING,
        "EmailBouncedReason": FieldType.STRING,
        "EmailBouncedDate": FieldType.DATETIME,
        "IsEmailBounced": FieldType.BOOLEAN,
    }
)
_EMAIL_MESSAGE: Final = SalesforceObject(
    name="EmailMessage",
    fields=MappingProxyType(
        {
            "Id": FieldType.ID,
            "FromAddress": FieldType.STRING,
            "ToAddress": FieldType.STRING,
            "Subject": FieldType.STRING,
            "MessageDate": FieldType.DATETIME,
            "MessageIdentifier": FieldType.STRING,
            "IsBounced": FieldType.BOOLEAN,
        }
    ),
)
_PERSONS: Final = {
    kind.value: SalesforceObject(name=kind.value, fields=_PERSON) for kind in ContactObject
}
OBJECTS: Final = (*_PERSONS.values(), _EMAIL_MESSAGE)
"""Every object that can be queried."""


def rows_of(
    entity: SalesforceObject, journal: JournalReader, contacts: ContactsStore
) -> Iterator[Row]:
    """Yield an object's rows: contacts in the order of their import, messages newest first.

    Raises JournalError.
    """
    if entity.name in _PERSONS:
        yield from _persons(ContactObject(entity.name), journal, contacts)
    else:
        yield from _email_messages(journal)


def _persons(kind: ContactObject, journal: JournalReader, contacts: ContactsStore) -> Iterator[Row]:
    statuses = contact_statuses(contacts.contacts(), journal.address_bounces(), contacts.cleared())
    for status in statuses:
        contact = status.contact
        if contact.object is not kind:
            continue
        yield {
            "Id": contact.id,
            "Email": contact.email,
            "FirstName": contact.first_name,
            "LastName": contact.last_name,
            "Name": contact.name,
            "EmailBouncedReason": status.email_bounced_reason,
            "EmailBouncedDate": _whole_milliseconds(status.email_bounced_date),
            "IsEmailBounced": status.is_email_bounced,
        }


def _email_messages(journal: JournalReader) -> Iterator[Row]:
    bounced = journal.bounced_messages()
    before: str | None = None
    while page := journal.messages(_PAGE, before=before):
        for summary in page:
            envelope = summary.envelope
            if envelope.notification_for is not None or envelope.returned:
                continue
            yield {
                "Id": envelope.id,
                "FromAddress": envelope.reverse_path,
                "ToAddress": "; ".join(envelope.recipients),
                "Subject": envelope.subject,
                "MessageDate": _whole_milliseconds(envelope.received_at),
                "MessageIdentifier": envelope.message_id_header,
                "IsBounced": envelope.id in bounced,
            }
        before = page[-1].envelope.id


def _whole_milliseconds(at: datetime | None) -> datetime | None:
    """Cut what an answer doesn't show, so that the time shown compares as equal."""
    return at and at.replace(microsecond=at.microsecond // 1000 * 1000)
