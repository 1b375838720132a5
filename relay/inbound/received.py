"""The trace header that a message gets on its way in."""

from __future__ import annotations

import re
from datetime import datetime, tzinfo
from email.utils import format_datetime
from functools import lru_cache
from typing import Final

from relay.inbound.incoming import Incoming

_WIDTH: Final = 78
"""Characters of a header line, RFC 5322 section 2.1.1."""

_NAME: Final = re.compile(r"[A-Za-z0-9._:\[\]-]{1,255}")
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:@+/=-]")


def received_header(incoming: Incoming, *, by: str, id: str, at: datetime) -> bytes:  # noqa: A002
    """Return one folded `Received:` field with its CRLF, to stand before the content.

    RFC 5321 section 4.4; the protocol's name by RFC 3848 and RFC 6531 section 4.3. `by` is our host
    name, `id` the message's, `at` carries an offset. The recipient is named only where there is
    one, so that no recipient learns of another. What the client said of itself is cut to the
    characters of a name, so that it can't end the field or begin a comment.
    """
    begun = _begun(
        helo=incoming.helo,
        peer=incoming.peer,
        tls=incoming.tls,
        user=incoming.authenticated_as,
        by=by,
        protocol=_protocol(incoming),
    )
    if len(incoming.recipients) == 1:
        clauses = [f"id {_safe(id)}", f"for <{incoming.recipients[0]}>;"]
    else:
        clauses = [f"id {_safe(id)};"]
    clauses.append(_date(int(at.timestamp()), at.tzinfo))
    return f"{_folded(begun, clauses)}\r\n".encode()


@lru_cache(256)
def _begun(
    *, helo: str, peer: str, tls: str | None, user: str | None, by: str, protocol: str
) -> str:
    """Return what the field begins with: the same for all messages of a session."""
    who = helo if _NAME.fullmatch(helo) else "unknown"
    clauses = [f"from {who} ({_address_literal(peer)})"]
    if tls is not None:
        clauses.append(f"({_safe(tls.replace(' ', '/'))})")
    if user is not None:
        clauses.append(f"(authenticated as {_safe(user)})")
    clauses += [f"by {_safe(by)}", f"with {protocol}"]
    return _folded("Received:", clauses)


@lru_cache(16)
def _date(second: int, zone: tzinfo | None) -> str:
    """Return a date of RFC 5322, which many messages of one second have."""
    return format_datetime(datetime.fromtimestamp(second, zone))


def _protocol(incoming: Incoming) -> str:
    if not incoming.esmtp:
        return "SMTP"
    secured = "S" if incoming.tls is not None else ""
    authenticated = "A" if incoming.authenticated_as is not None else ""
    name = "UTF8SMTP" if incoming.smtputf8 else "ESMTP"
    return f"{name}{secured}{authenticated}"


def _address_literal(peer: str) -> str:
    host = peer.rpartition(":")[0].strip("[]")
    return f"[IPv6:{_safe(host)}]" if ":" in host else f"[{_safe(host)}]"


def _safe(text: str) -> str:
    return _UNSAFE.sub("_", text)[:255]


def _folded(field: str, clauses: list[str]) -> str:
    """Add clauses to a field, each on the last line where there is room and else on a new one."""
    width = len(field) - (field.rfind("\n") + 1)
    for clause in clauses:
        width += 1 + len(clause)
        if width > _WIDTH:
            field += "\r\n"
            width = 1 + len(clause)
        field += f" {clause}"
    return field
