"""What a session saw of a host's TLS: raw, and free of any policy.

Evidence says what happened, never whether that is good. `relay.tls.examine` finds the faults in
it, relative to a policy; `relay.core.verdicts.judge` decides. Recorded evidence can therefore be
judged again under another policy, and what it cannot answer is visible: a handshake not tried, a
chain that never came.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Literal

from relay.core.replies import Reply
from relay.core.settings import TlsMode, TlsVersion


@unique
class HandshakeProblem(Enum):
    """How a TLS handshake ended without a session."""

    PROTOCOL_VERSION = "protocol-version"
    NO_SHARED_CIPHER = "no-shared-cipher"
    NOT_TLS = "not-tls"
    ALERT = "alert"
    CLOSED = "closed"
    TIMEOUT = "timeout"
    WEAK_PARAMETERS = "weak-parameters"
    BAD_SIGNATURE = "bad-signature"
    CERTIFICATE_REFUSED = "certificate-refused"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotTried:
    """No handshake was begun."""

    kind: Literal["not-tried"] = "not-tried"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailed:
    """The handshake was begun and ended without a session.

    `verify_code` is OpenSSL's X509_V_ERR number when our own verification ended it
    (`CERTIFICATE_REFUSED`); `detail` is the library's reason, for people.
    """

    kind: Literal["failed"] = "failed"
    problem: HandshakeProblem
    detail: str
    verify_code: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeDone:
    """The handshake succeeded; `version` is OpenSSL's name for it, such as 'TLSv1.3'."""

    kind: Literal["done"] = "done"
    version: str
    cipher: str


Handshake = NotTried | HandshakeFailed | HandshakeDone


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOffer:
    """What we offered: without it the same evidence could not be judged again.

    `verifying`: the handshake itself refused bad certificates, so that faults behind the first
    one may not have been seen.
    """

    minimum_tls: TlsVersion
    verifying: bool
    server_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsEvidence:
    """One session's evidence.

    `starttls_offered` is None when EHLO was never answered or TLS is implicit. `starttls_reply` is
    None when STARTTLS was not sent or not answered; `starttls_sent` tells these apart. `chain` is
    what the host sent, in its order, as PEM. `plaintext_after_go_ahead` counts octets that came in
    clear behind the 220 to STARTTLS and were discarded (RFC 3207 section 6).
    `starttls_offered_under_tls` is None unless an EHLO was answered under TLS.
    """

    mode: TlsMode
    observed_at: datetime
    offer: ClientOffer | None = None
    starttls_offered: bool | None = None
    starttls_sent: bool = False
    starttls_reply: Reply | None = None
    handshake: Handshake = NotTried()
    chain: tuple[str, ...] = ()
    plaintext_after_go_ahead: int = 0
    starttls_offered_under_tls: bool | None = None
