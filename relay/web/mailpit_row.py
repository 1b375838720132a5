"""A message read, as a row of the index has it: what is searched, and its entry in lists. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

from relay.core.jsonform import Json
from relay.core.records import Envelope
from relay.journal.keys import storable
from relay.web.mailpit_message import MailMessage
from relay.web.mailpit_search import searchable
from relay.web.mailpit_words import bcc_of, summary_json


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRow:
    """The columns that a message must be read for; texts are as `searchable` returns them."""

    attachments: int
    inline: int
    sender: str
    recipients: str
    cc: str
    bcc: str
    reply_to: str
    subject: str
    message_id: str
    words: str
    summary: str


def row_of(envelope: Envelope, message: MailMessage) -> MailRow:
    """Return a message's row; `summary` is JSON, `words` are what a bare word is looked for in."""
    columns: dict[str, list[Json]] = {
        "sender": [message.sender],
        "recipients": message.addresses("To"),
        "cc": message.addresses("Cc"),
        "bcc": bcc_of(envelope, message),
        "reply_to": message.addresses("Reply-To"),
    }
    addresses = {name: searchable(_spelled(found)) for name, found in columns.items()}
    subject = searchable(message.header("Subject"))
    names = " ".join(part.file_name for part in message.attachments)
    words = " ".join((*addresses.values(), subject, searchable(f"{message.text} {names}")))
    return MailRow(
        attachments=len(message.attachments),
        inline=len(message.inline),
        **{name: storable(text) for name, text in addresses.items()},
        subject=storable(subject),
        message_id=storable(searchable(message.header("Message-ID"))),
        words=storable(words),
        summary=storable(json.dumps(summary_json(envelope, message))),
    )


def _spelled(addresses: Iterable[Json]) -> str:
    return " ".join(
        f"{found['Name']} {found['Address']}" for found in addresses if isinstance(found, dict)
    )
