"""TLS faults: every way in which a host's TLS can fail a policy, as closed sets of names.

`FAULTS` (in `relay.core.fault_cards`) holds the card of each: what it is, its class, its RFC 8460
result type and the remedy. The order of `FaultKind` is the order in which faults are reported; the
first one names the code.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique


@unique
class FaultClass(Enum):
    """What a setting reacts to; the hand-typed table of class x setting is the whole policy."""

    NOT_OFFERED = "not-offered"
    """No STARTTLS in the EHLO reply; the session is still usable in clear."""
    REFUSED = "refused"
    """STARTTLS was answered, but not with 220; the session may still be usable in clear."""
    NO_GO_AHEAD = "no-go-ahead"
    """STARTTLS was not answered, or by 421: the session is gone. Clear text needs a new one."""
    HANDSHAKE = "handshake"
    """The handshake failed. Clear text needs a new session."""
    INJECTION = "injection"
    """Clear text came behind the go-ahead and was discarded; TLS stands or was tried all the same.

    Whoever can write into the session may be who shakes hands: a matter for settings that verify.
    """
    CERTIFICATE = "certificate"
    """TLS stands or would have, but the certificate proves nothing."""


@unique
class ResultType(Enum):
    """RFC 8460 section 4.3: the failure types of TLS reporting that can occur here."""

    STARTTLS_NOT_SUPPORTED = "starttls-not-supported"
    CERTIFICATE_HOST_MISMATCH = "certificate-host-mismatch"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_TRUSTED = "certificate-not-trusted"
    VALIDATION_FAILURE = "validation-failure"


@unique
class FaultKind(Enum):
    """A fault's name, stable in JSON; the order here is the order of reports."""

    STARTTLS_NOT_OFFERED = "starttls-not-offered"
    STARTTLS_REFUSED = "starttls-refused"
    STARTTLS_NO_ANSWER = "starttls-no-answer"
    STARTTLS_INJECTION = "starttls-injection"
    HANDSHAKE_PROTOCOL_VERSION = "handshake-protocol-version"
    HANDSHAKE_NO_SHARED_CIPHER = "handshake-no-shared-cipher"
    HANDSHAKE_NOT_TLS = "handshake-not-tls"
    HANDSHAKE_ALERT = "handshake-alert"
    HANDSHAKE_CLOSED = "handshake-closed"
    HANDSHAKE_TIMEOUT = "handshake-timeout"
    HANDSHAKE_WEAK_PARAMETERS = "handshake-weak-parameters"
    HANDSHAKE_BAD_SIGNATURE = "handshake-bad-signature"
    HANDSHAKE_FAILED = "handshake-failed"
    CERTIFICATE_SELF_SIGNED = "certificate-self-signed"
    CERTIFICATE_MISSING_INTERMEDIATE = "certificate-missing-intermediate"
    CERTIFICATE_UNTRUSTED_ROOT = "certificate-untrusted-root"
    CERTIFICATE_ISSUER_INVALID = "certificate-issuer-invalid"
    CERTIFICATE_BAD_SIGNATURE = "certificate-bad-signature"
    CERTIFICATE_EXPIRED = "certificate-expired"
    CERTIFICATE_NOT_YET_VALID = "certificate-not-yet-valid"
    CERTIFICATE_REVOKED = "certificate-revoked"
    CERTIFICATE_REVOCATION_UNKNOWN = "certificate-revocation-unknown"
    CERTIFICATE_WRONG_PURPOSE = "certificate-wrong-purpose"
    CERTIFICATE_WEAK_KEY = "certificate-weak-key"
    CERTIFICATE_WEAK_SIGNATURE = "certificate-weak-signature"
    CERTIFICATE_NAME_CONSTRAINT = "certificate-name-constraint"
    CERTIFICATE_UNKNOWN_EXTENSION = "certificate-unknown-extension"
    CERTIFICATE_NAME_MISMATCH = "certificate-name-mismatch"
    CERTIFICATE_INVALID = "certificate-invalid"
    CERTIFICATE_UNAVAILABLE = "certificate-unavailable"


FAULT_ORDER = {kind: position for position, kind in enumerate(FaultKind)}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsFault:
    """One fault found in one session's evidence.

    `detail` names what was found and what was wanted, for people: the certificate's dates, the
    names it bears, the reply. It never decides anything.
    """

    kind: FaultKind
    detail: str
