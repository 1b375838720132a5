"""Every fault of a session's TLS, relative to a policy: no I/O, no clock, no verdict.

All faults are found whatever the setting, so that a delivery under Required still records that the
certificate has expired; what follows from a fault is `relay.core.verdicts.judge`'s to say.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from relay.core.addresses import Domain
from relay.core.evidence import (
    HandshakeDone,
    HandshakeFailed,
    HandshakeProblem,
    NotTried,
    TlsEvidence,
)
from relay.core.faults import FaultKind, TlsFault
from relay.core.replies import Reply
from relay.core.settings import Starttls, TlsMode, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.tls.certificate import in_report_order, remembered_faults
from relay.tls.examined import ExaminedChains
from relay.tls.names import reference_names
from relay.tls.trust_store import TrustStore
from relay.tls.verify_codes import explains, fault_for

_F = FaultKind
_P = HandshakeProblem

_HANDSHAKE_FAULTS: Final = {
    _P.PROTOCOL_VERSION: _F.HANDSHAKE_PROTOCOL_VERSION,
    _P.NO_SHARED_CIPHER: _F.HANDSHAKE_NO_SHARED_CIPHER,
    _P.NOT_TLS: _F.HANDSHAKE_NOT_TLS,
    _P.ALERT: _F.HANDSHAKE_ALERT,
    _P.CLOSED: _F.HANDSHAKE_CLOSED,
    _P.TIMEOUT: _F.HANDSHAKE_TIMEOUT,
    _P.WEAK_PARAMETERS: _F.HANDSHAKE_WEAK_PARAMETERS,
    _P.BAD_SIGNATURE: _F.HANDSHAKE_BAD_SIGNATURE,
    _P.OTHER: _F.HANDSHAKE_FAILED,
}
_VERSIONS: Final = [version.label for version in TlsVersion]


def examine(
    evidence: TlsEvidence,
    policy: TlsPolicy,
    *,
    host: str,
    recipient_domain: Domain,
    at: datetime,
    store: TrustStore,
    examined: ExaminedChains | None = None,
) -> tuple[TlsFault, ...]:
    """Return all faults in `evidence` under `policy`, in the order of `FaultKind`, one of a kind.

    `host` is the name (or address) that was connected to; `at` is when certificates must be valid;
    `store` is the loaded form of `policy.trust`; `examined` remembers what was found in chains
    before. A session that never tries STARTTLS has no faults,
    and neither has one that ended before TLS could be begun.
    """
    if evidence.mode is TlsMode.STARTTLS:
        if policy.starttls is Starttls.NEVER:
            return ()
        refused = _starttls_fault(evidence)
        if refused is not None:
            return (refused,)
    found = [*_injection_faults(evidence), *_handshake_faults(evidence, policy)]
    if evidence.chain:
        found += remembered_faults(
            evidence.chain,
            wanted=reference_names(policy.names, host=host, recipient_domain=recipient_domain),
            common_name=policy.names.common_name,
            at=at,
            store=store,
            examined=examined,
        )
    found += _verification_faults(evidence, policy, found)
    return in_report_order(found)


def _starttls_fault(evidence: TlsEvidence) -> TlsFault | None:
    if evidence.starttls_offered is False:
        return TlsFault(
            kind=_F.STARTTLS_NOT_OFFERED, detail="the reply to EHLO has no STARTTLS keyword"
        )
    if not evidence.starttls_sent:
        return None
    reply = evidence.starttls_reply
    if reply is None:
        return TlsFault(kind=_F.STARTTLS_NO_ANSWER, detail="no reply to STARTTLS")
    if reply.code == 220:
        return None
    return TlsFault(kind=_refusal(reply), detail=f"the reply to STARTTLS: {reply}")


def _refusal(reply: Reply) -> FaultKind:
    # 421 announces that the host closes the session (RFC 5321 section 3.8); after something that
    # is no reply at all nobody knows what the host will read next.
    gone = reply.code == 421 or not 200 <= reply.code <= 599
    return _F.STARTTLS_NO_ANSWER if gone else _F.STARTTLS_REFUSED


def _injection_faults(evidence: TlsEvidence) -> Iterator[TlsFault]:
    count = evidence.plaintext_after_go_ahead
    if count:
        # Discarded, but a sign that somebody on the way tried (RFC 3207 section 6).
        yield TlsFault(
            kind=_F.STARTTLS_INJECTION,
            detail=f"{count} octets in clear text behind the go-ahead, discarded",
        )


def _handshake_faults(evidence: TlsEvidence, policy: TlsPolicy) -> Iterator[TlsFault]:
    match evidence.handshake:
        case HandshakeDone(version=version):
            if _rank(version) < _rank(policy.minimum_tls.label):
                yield TlsFault(
                    kind=_F.HANDSHAKE_PROTOCOL_VERSION,
                    detail=f"{version}; wanted {policy.minimum_tls.label} or newer",
                )
        case HandshakeFailed(problem=_P.CERTIFICATE_REFUSED):
            return
        case HandshakeFailed(problem=problem, detail=detail):
            yield TlsFault(kind=_HANDSHAKE_FAULTS[problem], detail=detail)
        case NotTried():
            return
        case _:
            assert_never(evidence.handshake)


def _rank(version: str) -> int:
    # What is not listed is older than TLS 1.0: OpenSSL knows nothing newer than 1.3.
    return _VERSIONS.index(version) if version in _VERSIONS else -1


def _verification_faults(
    evidence: TlsEvidence, policy: TlsPolicy, found: list[TlsFault]
) -> Iterator[TlsFault]:
    """Account for what the handshake's own verification said, or for a chain that never came."""
    match evidence.handshake:
        case HandshakeFailed(problem=_P.CERTIFICATE_REFUSED, verify_code=code, detail=detail):
            if not explains((fault.kind for fault in found), code):
                yield TlsFault(kind=fault_for(code), detail=f"the handshake refused it: {detail}")
        case HandshakeDone() if policy.verifies and not evidence.chain:
            yield TlsFault(
                kind=_F.CERTIFICATE_UNAVAILABLE,
                detail="the handshake stands, but no certificate was kept",
            )
        case _:
            return
