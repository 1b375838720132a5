"""The few header fields that the relay copies from a message's head, for people to find it by."""

from __future__ import annotations

from dataclasses import dataclass
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser

from relay.formats.dsn import original_headers

MAX_FIELD = 998
"""Characters kept of one field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What was read of a message's header section; None for a field that is not there.

    `has_sender`: there is a `Sender` field.
    """

    message_id: str | None
    subject: str | None
    has_sender: bool = False


def read_head(content: bytes) -> Head:
    """Read the head of a message; the body is not looked at."""
    fields = BytesHeaderParser().parsebytes(original_headers(content))
    return Head(
        message_id=_text(fields.get("Message-ID")),
        subject=_text(fields.get("Subject")),
        has_sender="Sender" in fields,
    )


def _text(value: object) -> str | None:
    if value is None:
        return None
    raw = str(value)
    try:
        decoded = str(make_header(decode_header(raw)))
    except (LookupError, ValueError):
        decoded = raw
    flat = " ".join(decoded.split())
    return "".join(c if c.isprintable() else "\ufffd" for c in flat)[:MAX_FIELD]
