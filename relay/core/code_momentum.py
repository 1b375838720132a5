"""Momentum's responses about the way to a host: what Salesforce's bounces and log rows say. Data.

Source: Momentum's table of message responses; the code of the certificate texts, which it leaves
empty, is that of Salesforce Knowledge 000388924.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from relay.core.code_causes import Cause
from relay.core.replies import StatusCode


@dataclass(frozen=True, slots=True)
class MomentumResponse:
    """A code and text, and the cause that it stands for; 4.0.0 where only a reply code is known."""

    status: StatusCode
    text: str
    cause: Cause

    def __str__(self) -> str:
        return f"{self.status} [internal] {self.text}"


_C = Cause

MOMENTUM: Final[tuple[MomentumResponse, ...]] = tuple(
    MomentumResponse(StatusCode.parse(code), text, cause)
    for code, text, cause in (
        ("451 4.7.6", "STARTTLS required but not advertised", _C.TLS_NOT_OFFERED),
        ("451 4.7.5", "no tls go-ahead", _C.TLS_REFUSED),
        ("451 4.7.5", "send STARTTLS failed", _C.TLS_REFUSED),
        ("451 4.7.5", "TLS negotiation failed", _C.TLS_HANDSHAKE_FAILED),
        (
            "451 4.7.5",
            "remote node SSL certificate not signed by a valid CA",
            _C.CERTIFICATE_UNTRUSTED,
        ),
        ("451 4.7.5", "SSL cert must be signed by a valid CA", _C.CERTIFICATE_UNTRUSTED),
        (
            "451 4.7.5",
            "SSL cert common name does not match host",
            _C.CERTIFICATE_NAME_MISMATCH,
        ),
        (
            "451 4.7.5",
            "SSL certificate subject does not match host",
            _C.CERTIFICATE_NAME_MISMATCH,
        ),
        ("454 4.0.0", "certificate expired", _C.CERTIFICATE_EXPIRED),
        (
            "454 4.0.0",
            "certificate not yet valid: possible clock skew",
            _C.CERTIFICATE_NOT_YET_VALID,
        ),
        ("451 4.4.2", "connection closed by remote host", _C.CONNECTION_LOST),
        ("451 4.4.2", "no banner", _C.NO_BANNER),
        ("451 4.4.2", "no HELO/EHLO response", _C.CONNECTION_LOST),
        (
            "451 4.4.1",
            "No valid hosts (unable to make any connections)",
            _C.CONNECTION_REFUSED,
        ),
        ("450 4.4.1", "Connection Timed Out", _C.CONNECTION_TIMEOUT),
        (
            "421 4.4.0",
            "no MXs for this domain could be reached at this time",
            _C.CONNECTION_REFUSED,
        ),
        ("454 4.4.4", "no MX or A for domain", _C.DNS_NO_HOST),
        ("554 5.4.4", "Domain Lookup Failed", _C.DNS_LOOKUP_FAILED),
        ("550 5.4.4", "NULL MX", _C.DNS_NULL_MX),
        ("554 5.4.7", "exceeded max time without delivery", _C.QUEUE_EXPIRED),
    )
)
"""Momentum's responses, those about TLS first."""
