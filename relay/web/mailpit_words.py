"""What Mailpit's routes say of a message: Mailpit's keys, and what this relay made of it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from relay.core.contacts import address_key
from relay.core.jsonform import Json
from relay.core.records import Bounce, Envelope
from relay.journal.api import MessageRecord, RecipientState
from relay.web.mailpit_message import MailMessage

_FINAL: Final = frozenset(
    {RecipientState.DELIVERED, RecipientState.FAILED, RecipientState.ABANDONED}
)
_LINK: Final = re.compile(r"<([^<>]*)>")
_LINK_FORM: Final = re.compile(r"(mailto:|https?://)[A-Za-z0-9]\S*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictTold:
    """What became of a message; `final` says that nothing more is tried."""

    json: Json
    final: bool


def summary_json(envelope: Envelope, message: MailMessage) -> dict[str, Json]:
    """Return a message's entry in a list, but for `Read`, `Tags` and `Relaylab`."""
    return {
        **_shared(envelope, message),
        "Created": _time(envelope.received_at),
        "Attachments": len(message.attachments),
        "Snippet": message.snippet,
    }


def message_json(
    record: MessageRecord, message: MailMessage, tags: Iterable[Json]
) -> dict[str, Json]:
    """Return the whole message."""
    envelope = record.envelope
    return {
        **_shared(envelope, message),
        "ReturnPath": envelope.reverse_path,
        "Date": _time(message.date or envelope.received_at),
        "ListUnsubscribe": _list_unsubscribe(message),
        "Tags": list(tags),
        "Text": message.text,
        "HTML": message.html,
        "Inline": [part.json for part in message.inline],
        "Attachments": [part.json for part in message.attachments],
        "Relaylab": verdict_json(record).json,
    }


def bcc_of(envelope: Envelope, message: MailMessage) -> list[Json]:
    """Return the addresses of Bcc, and the recipients that no header names."""
    bcc = message.addresses("Bcc")
    named = {
        address_key(str(found["Address"]))
        for found in (*message.addresses("To"), *message.addresses("Cc"), *bcc)
        if isinstance(found, dict)
    }
    missing = [r for r in envelope.recipients if address_key(r) not in named]
    hidden: list[Json] = [{"Name": "", "Address": address} for address in missing]
    return bcc + hidden


def verdict_json(record: MessageRecord) -> VerdictTold:
    """Tell what became of a message, for each recipient and in a word: their state, or `mixed`."""
    last: dict[str, Bounce] = {bounce.recipient: bounce for bounce in record.bounces}
    recipients: list[Json] = []
    for status in record.recipients:
        bounce = last.get(status.recipient)
        recipients.append(
            {
                "Address": status.recipient,
                "State": status.state.value,
                "Code": str(bounce.status) if bounce else None,
                "Text": bounce.text if bounce else None,
                "Bounce": bounce.id if bounce else None,
            }
        )
    states = {status.state for status in record.recipients}
    message_id = record.envelope.id
    return VerdictTold(
        json={
            "ID": message_id,
            "Verdict": states.pop().value if len(states) == 1 else "mixed",
            "Recipients": recipients,
            "Links": {
                "Mail": f"/api/v1/mail/{message_id}",
                "Page": f"/mail/{message_id}",
                "Raw": f"/api/v1/message/{message_id}/raw",
            },
        },
        final=all(status.state in _FINAL for status in record.recipients),
    )


def _shared(envelope: Envelope, message: MailMessage) -> dict[str, Json]:
    return {
        "ID": envelope.id,
        "MessageID": message.header("Message-ID").strip("<>"),
        "From": message.sender,
        "To": message.addresses("To"),
        "Cc": message.addresses("Cc"),
        "Bcc": bcc_of(envelope, message),
        "ReplyTo": message.addresses("Reply-To"),
        "Subject": message.header("Subject"),
        "Username": "",
        "Size": envelope.size,
    }


def _list_unsubscribe(message: MailMessage) -> dict[str, Json]:
    """Return the header's links (RFC 2369, RFC 8058), and what is wrong with it."""
    header = message.header("List-Unsubscribe")
    found = _LINK.findall(header)
    links = [link for link in found if _LINK_FORM.fullmatch(link)]
    errors = []
    if header and not found:
        errors.append("no link stands in angle brackets")
    if len(links) < len(found):
        errors.append("a link is neither mailto: nor http(s)://")
    schemes = ["mailto" if link.lower().startswith("mailto:") else "http" for link in links]
    if len(set(schemes)) < len(schemes):
        errors.append("there may be one mailto: and one http(s):// link")
    return {
        "Header": header,
        "HeaderPost": message.header("List-Unsubscribe-Post"),
        "Links": [*links],
        "Errors": ", ".join(errors),
    }


def _time(at: datetime) -> str:
    try:
        at = at.astimezone(UTC)
    except OverflowError:
        # A Date header may name the first or the last day there is.
        at = at.replace(tzinfo=UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
