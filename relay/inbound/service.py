"""What all inbound sessions share, and how many of them there are."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from relay.core.codebook import CodeEntry
from relay.core.delivery import BareLineEnds
from relay.inbound import replies
from relay.inbound.content import Buffered
from relay.inbound.credentials import Credentials
from relay.inbound.fast_start import Blueprint
from relay.inbound.incoming import Accept, RefuseRecipient, SessionSink, any_recipient
from relay.inbound.limits import InboundLimits

if TYPE_CHECKING:
    from relay.inbound.adapter import RelaySMTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What the sessions of all listeners share.

    `blueprint` makes them, `live` holds those that have not ended, `per_client` counts those by the
    client's address.
    """

    accept: Accept
    session_sink: SessionSink
    server_context: ssl.SSLContext
    hostname: str
    limits: InboundLimits
    credentials: Credentials
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    buffered: Buffered
    blueprint: Blueprint
    bare_line_ends: Callable[[], BareLineEnds]
    refuse_recipient: RefuseRecipient = any_recipient
    live: set[RelaySMTP] = field(default_factory=set)
    per_client: Counter[str] = field(default_factory=Counter)

    def joined(self, session: RelaySMTP, client: str) -> None:
        """Take a session in."""
        self.live.add(session)
        self.per_client[client] += 1

    def left(self, session: RelaySMTP, client: str) -> None:
        """Let go of a session that is over."""
        self.live.discard(session)
        self.per_client[client] -= 1
        if not self.per_client[client]:
            del self.per_client[client]

    def crowded(self, client: str) -> CodeEntry | None:
        """Return the refusal of a session that is one too many."""
        if len(self.live) > self.limits.sessions:
            return replies.TOO_MANY_SESSIONS
        if self.per_client[client] > self.limits.client_sessions:
            return replies.TOO_MANY_OF_CLIENT
        return None
