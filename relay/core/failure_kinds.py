"""The name under which a failure is looked up in a code book."""

from __future__ import annotations

from enum import Enum, unique
from typing import assert_never

from relay.core.fault_cards import card
from relay.core.faults import FaultClass, FaultKind, TlsFault
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    DnsFailure,
    DnsProblem,
    Failure,
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
    Stage,
    TlsRefusal,
)


@unique
class FailureKind(Enum):
    """What a code book has an entry for; the value is its key in a policy's `codes:`."""

    TLS_NOT_OFFERED = "tls-not-offered"
    TLS_REFUSED = "tls-refused"
    TLS_HANDSHAKE_FAILED = "tls-handshake-failed"
    CERTIFICATE_UNTRUSTED = "certificate-untrusted"
    CERTIFICATE_NAME_MISMATCH = "certificate-name-mismatch"
    DNS_NO_HOST = "dns-no-host"
    DNS_LOOKUP_FAILED = "dns-lookup-failed"
    DNS_NULL_MX = "dns-null-mx"
    DNS_LOOPS_BACK = "dns-loops-back"
    CONNECTION_REFUSED = "connection-refused"
    CONNECTION_TIMEOUT = "connection-timeout"
    CONNECTION_LOST = "connection-lost"
    NO_BANNER = "no-banner"
    HOST_NOT_ALLOWED = "host-not-allowed"
    QUEUE_EXPIRED = "queue-expired"
    OUT_OF_TIME = "out-of-time"
    NEEDS_8BITMIME = "needs-8bitmime"
    NEEDS_SMTPUTF8 = "needs-smtputf8"
    TOO_BIG_FOR_HOST = "too-big-for-host"
    NOT_SENDABLE = "not-sendable"
    AUTH_UNAVAILABLE = "auth-unavailable"
    SUPPRESSED = "suppressed"
    INTERNAL = "internal"


_DNS = {
    DnsProblem.NO_HOST: FailureKind.DNS_NO_HOST,
    DnsProblem.LOOKUP_FAILED: FailureKind.DNS_LOOKUP_FAILED,
    DnsProblem.NULL_MX: FailureKind.DNS_NULL_MX,
    DnsProblem.LOOPS_BACK: FailureKind.DNS_LOOPS_BACK,
}
_LOCAL = {
    LocalProblem.HOST_NOT_ALLOWED: FailureKind.HOST_NOT_ALLOWED,
    LocalProblem.EXPIRED: FailureKind.QUEUE_EXPIRED,
    LocalProblem.OUT_OF_TIME: FailureKind.OUT_OF_TIME,
    LocalProblem.NEEDS_8BITMIME: FailureKind.NEEDS_8BITMIME,
    LocalProblem.NEEDS_SMTPUTF8: FailureKind.NEEDS_SMTPUTF8,
    LocalProblem.TOO_BIG_FOR_HOST: FailureKind.TOO_BIG_FOR_HOST,
    LocalProblem.NOT_SENDABLE: FailureKind.NOT_SENDABLE,
    LocalProblem.AUTH_UNAVAILABLE: FailureKind.AUTH_UNAVAILABLE,
    LocalProblem.SUPPRESSED: FailureKind.SUPPRESSED,
    LocalProblem.INTERNAL: FailureKind.INTERNAL,
}


def fault_failure_kind(fault: TlsFault) -> FailureKind:
    """Return the code-book entry of a TLS fault."""
    match card(fault).fault_class:
        case FaultClass.NOT_OFFERED:
            return FailureKind.TLS_NOT_OFFERED
        case FaultClass.REFUSED | FaultClass.NO_GO_AHEAD:
            return FailureKind.TLS_REFUSED
        case FaultClass.HANDSHAKE | FaultClass.INJECTION:
            return FailureKind.TLS_HANDSHAKE_FAILED
        case FaultClass.CERTIFICATE:
            if fault.kind is FaultKind.CERTIFICATE_NAME_MISMATCH:
                return FailureKind.CERTIFICATE_NAME_MISMATCH
            return FailureKind.CERTIFICATE_UNTRUSTED
        case never:
            assert_never(never)


def failure_kind(failure: Failure) -> FailureKind | None:
    """Return the code-book entry of a failure; None for a peer's refusal, which names itself."""
    match failure:
        case TlsRefusal(faults=faults):
            return fault_failure_kind(faults[0]) if faults else FailureKind.TLS_HANDSHAKE_FAILED
        case DnsFailure(problem=unfound):
            return _DNS[unfound]
        case ConnectionFailure(stage=Stage.BANNER):
            return FailureKind.NO_BANNER
        case ConnectionFailure(problem=ConnectionProblem.TIMEOUT):
            return FailureKind.CONNECTION_TIMEOUT
        case ConnectionFailure(problem=ConnectionProblem.LOST):
            return FailureKind.CONNECTION_LOST
        case ConnectionFailure():
            return FailureKind.CONNECTION_REFUSED
        case PeerRefusal():
            return None
        case LocalRefusal(problem=problem):
            return _LOCAL[problem]
        case _:
            assert_never(failure)
