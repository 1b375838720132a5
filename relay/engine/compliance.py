"""What Salesforce's compliance settings add to a message that a client hands in.

enableEmailSpfCompliance      a reverse path of our own domain
enableEmailSenderIdCompliance a `Sender` field of that domain (RFC 4407 looks for one)
enableComplianceBcc           a hidden copy, to one address, of every message

Notifications, which have the null reverse path, get none of these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from relay.core.contacts import address_key
from relay.core.dsn import DsnRequest, RecipientRequest
from relay.core.records import Envelope
from relay.core.replies import ReplyMode
from relay.core.salesforce import BOUNCE_DOMAIN, SalesforceSwitches
from relay.core.verp import encode_verp
from relay.formats.heads import Head
from relay.journal.api import NewMessage, RecipientState

_SENDER: Final = "no-reply"


def sent_from(reverse_path: str, message_id: str, switches: SalesforceSwitches) -> str | None:
    """Return the reverse path to leave with; None where it stays the sender's own."""
    domain = switches.reverse_path_domain
    if domain is None or not reverse_path:
        return None
    return encode_verp(reverse_path, message_id, domain)


def sender_field(reverse_path: str, head: Head, switches: SalesforceSwitches) -> bytes:
    """Return the field to put before a message, its CRLF included; empty where there is none.

    A message has one such field at most (RFC 5322 section 3.6), so its own stays alone.
    """
    if not switches.sender_id_compliance or not reverse_path or head.has_sender:
        return b""
    domain = switches.reverse_path_domain or BOUNCE_DOMAIN
    return f"Sender: {_SENDER}@{domain}\r\n".encode("ascii")


def hidden_copy(
    envelope: Envelope,
    content: bytes,
    switches: SalesforceSwitches,
    *,
    new_id: Callable[[], str],
) -> NewMessage | None:
    """Return the copy as a message of its own, queued; None where there is to be none.

    Nobody is ever notified of its failure: its sender does not know of it.
    """
    to = switches.compliance_bcc
    if to is None or not envelope.reverse_path:
        return None
    if address_key(to) in map(address_key, envelope.recipients):
        return None
    message_id = new_id()
    nobody = RecipientRequest(recipient=to, notify=())
    return NewMessage(
        envelope=replace(
            envelope,
            id=message_id,
            recipients=(to,),
            reply_mode=ReplyMode.QUEUED,
            dsn=DsnRequest(recipients=(nobody,)),
            sent_from=sent_from(envelope.reverse_path, message_id, switches),
            copy_of=envelope.id,
        ),
        content=content,
        state=RecipientState.QUEUED,
        next_at=envelope.received_at,
    )
