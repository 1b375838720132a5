"""The parameters of the DSN extension as a relaying MTA passes them on (RFC 3461 section 5.2.1).

What the sender asked goes on as it came, and what it didn't ask isn't asked. Pure.
"""

from __future__ import annotations

import re
from typing import Final

from relay.core.dsn import RecipientRequest, ReturnContent
from relay.core.records import Envelope

_NOT_XTEXT: Final = re.compile(r"[^!-*,-<>-~]")
_NOT_QCHAR: Final = re.compile(r"[^!-*,-<>-\[\]-~]")
_MAX_ORIGINAL: Final = 500
"""Characters of ORCPT, RFC 3461 section 4.2."""


def mail_options(envelope: Envelope) -> tuple[bytes, ...]:
    """Return RET and ENVID; a notification of our own has neither (section 6.1)."""
    if envelope.notification_for is not None:
        return ()
    options = []
    match envelope.dsn.ret:
        case ReturnContent.FULL:
            options.append(b"RET=FULL")
        case ReturnContent.HEADERS:
            options.append(b"RET=HDRS")
        case None:
            pass
    if envelope.dsn.envelope_id is not None:
        options.append(b"ENVID=" + envelope.dsn.envelope_id.encode("ascii"))
    return tuple(options)


def rcpt_options(envelope: Envelope, recipient: str, *, smtputf8: bool) -> tuple[bytes, ...]:
    """Return NOTIFY and ORCPT; `smtputf8` tells whether MAIL says SMTPUTF8.

    An ORCPT that the sender didn't give is our recipient as it came, which is allowed and lets
    whoever reports later name it. A notification of our own asks for nothing: NOTIFY=NEVER (section
    6.1).
    """
    if envelope.notification_for is not None:
        return (b"NOTIFY=NEVER",)
    request = envelope.dsn.of(recipient)
    options = []
    if request.notify is not None:
        words = ",".join(condition.name for condition in request.notify) or "NEVER"
        options.append(f"NOTIFY={words}".encode())
    original = _original(request, smtputf8=smtputf8)
    # The mail is worth more than the name that a notification would give its recipient.
    if len(original) <= _MAX_ORIGINAL:
        options.append(f"ORCPT={original}".encode())
    return tuple(options)


def _original(request: RecipientRequest, *, smtputf8: bool) -> str:
    if request.original is None:
        if request.recipient.isascii():
            return "rfc822;" + _NOT_XTEXT.sub(lambda c: f"+{ord(c[0]):02X}", request.recipient)
        return "utf-8;" + _embedded(request.recipient)
    if smtputf8 or request.original.isascii():
        return request.original
    kind, _, address = request.original.partition(";")
    return f"{kind};{_outside_ascii_embedded(address)}"


def _embedded(address: str) -> str:
    """Return an address as utf-8-addr-xtext (RFC 6533 section 3)."""
    return _NOT_QCHAR.sub(lambda c: f"\\x{{{ord(c[0]):X}}}", address)


def _outside_ascii_embedded(address: str) -> str:
    """Return utf-8-addr-unitext as utf-8-addr-xtext: what it has embedded already stays."""
    return "".join(c if c.isascii() else _embedded(c) for c in address)
