"""Who should do what about a failure that is not one of TLS. Data."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from relay.core.failure_kinds import FailureKind

REMEDIES: Final[Mapping[FailureKind, str]] = MappingProxyType(
    {
        FailureKind.DNS_NO_HOST: "Check the domain's spelling and its MX and address records.",
        FailureKind.DNS_LOOKUP_FAILED: "Check the name server; the next try may succeed.",
        FailureKind.DNS_NULL_MX: "The domain's owner says that it takes no mail; check the address.",
        FailureKind.DNS_LOOPS_BACK: "Point the domain's MX records, or the policy's route, at the host that really takes its mail.",
        FailureKind.CONNECTION_REFUSED: "Check the host's address and port, and that it is running.",
        FailureKind.CONNECTION_TIMEOUT: "Check for a firewall on the way; many networks block port 25.",
        FailureKind.CONNECTION_LOST: "Look into the host's log for this session.",
        FailureKind.NO_BANNER: "Look into the host's log; a port with implicit TLS gives no greeting in clear text.",
        FailureKind.HOST_NOT_ALLOWED: "Start the relay with --allow-external, if mail is really meant to leave this machine.",
        FailureKind.QUEUE_EXPIRED: "See the cause; nothing more is tried.",
        FailureKind.OUT_OF_TIME: "A host is slow: raise the policy's `reply_within`, or answer at once with `reply: queued`.",
        FailureKind.NEEDS_8BITMIME: "Send the message in 7-bit encoding, or to another host.",
        FailureKind.NEEDS_SMTPUTF8: "Use an ASCII address, or a host that supports SMTPUTF8.",
        FailureKind.TOO_BIG_FOR_HOST: "Send a smaller message, or raise the host's limit.",
        FailureKind.AUTH_UNAVAILABLE: "Ask whoever runs the relay which mechanisms it offers under TLS, and name one of them under the email relay's `auth`.",
        FailureKind.SUPPRESSED: "Confirm or correct the address, then `relay contacts clear ADDRESS`.",
        FailureKind.NOT_SENDABLE: "Send the message with addresses and lines as RFC 5321 has them.",
        FailureKind.INTERNAL: "Look into this relay's log.",
    }
)
