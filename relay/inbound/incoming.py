"""What a listener hands on, and what it is handed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum, unique

from relay.core.codebook import CodeEntry
from relay.core.content import ContentFacts
from relay.core.dsn import DsnRequest
from relay.core.records import BodyType, Session


@unique
class ListenerKind(Enum):
    """How a listener begins TLS, and whether it asks who the client is."""

    SMTP = "smtp"
    """Clear text; STARTTLS is offered and not demanded."""
    SMTPS = "smtps"
    """TLS from the first octet (RFC 8314 section 3); AUTH is offered and not demanded."""
    SUBMISSION = "submission"
    """STARTTLS, then AUTH; without them MAIL gets 530 5.7.0 (RFC 3207, RFC 6409)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message as a client sent it, whole, and not yet answered.

    `reverse_path` is empty for `<>`; addresses are texts that `parse_address` accepts, as the
    client wrote them. `content` is what stood between 354 and the final dot, dot-stuffing undone:
    lines with CRLF, the last one too. `facts` are of this content, None where nobody has looked for
    them. `peer` is address and port; `tls` names version and cipher, None in clear; `helo` is the
    client's own name for itself, and `esmtp` says that it came with EHLO, not HELO. `dsn` is what
    was asked by the parameters of RFC 3461.
    """

    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes = field(repr=False)
    body: BodyType
    smtputf8: bool
    peer: str
    listener: ListenerKind
    tls: str | None
    authenticated_as: str | None
    helo: str
    session_id: str
    esmtp: bool = True
    dsn: DsnRequest = field(default_factory=DsnRequest)
    facts: ContentFacts | None = None


Accept = Callable[[Incoming], Awaitable[CodeEntry]]
"""Takes a message and returns the reply to the end of data.

It runs to its end even when the client goes away meanwhile. Where it raises, the client reads
451 4.3.0 and a reference, never the reason.
"""

SessionSink = Callable[[Session], Awaitable[None]]
"""Takes the record of a session at its end, one whose TLS handshake failed included."""

RefuseRecipient = Callable[[str], CodeEntry | None]
"""Returns the reply that refuses a recipient, or None to take it; quick, and never raises."""


def any_recipient(_recipient: str) -> None:
    """Refuse nobody."""
