"""The trace header that a message gets on its way in."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import format_datetime
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
    who = incoming.helo if _NAME.fullmatch(incoming.helo) else "unknown"
    clauses = [f"from {who} ({_address_literal(incoming.peer)})"]
    if incoming.tls is not None:
        clauses.append(f"({_safe(incoming.tls.replace(' ', '/'))})")
    if incoming.authenticated_as is not None:
        clauses.append(f"(authenticated as {_safe(incoming.authenticated_as)})")
    clauses.append(f"by {_safe(by)}")
    clauses.append(f"with {_protocol(incoming)}")
    clauses.append(f"id {_safe(id)}")
    if len(incoming.recipients) == 1:
        clauses.append(f"for <{incoming.recipients[0]}>")
    clauses[-1] += ";"
    clauses.append(format_datetime(at))
    return (_folded("Received:", clauses) + "\r\n").encode()


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


def _folded(name: str, clauses: list[str]) -> str:
    lines = [name]
    for clause in clauses:
        if len(lines[-1]) + 1 + len(clause) > _WIDTH:
            lines.append(f" {clause}")
        else:
            lines[-1] += f" {clause}"
    return "\r\n".join(lines)
