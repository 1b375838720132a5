"""Parts of records in a few words each: what was seen, how it ended, whose certificate it was."""

from __future__ import annotations

from typing import assert_never

from relay.core.evidence import HandshakeDone, HandshakeFailed, NotTried, TlsEvidence
from relay.core.outcomes import (
    ConnectionFailure,
    Deferred,
    Delivered,
    DnsFailure,
    Failed,
    Failure,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    TlsRefusal,
)
from relay.core.replies import Reply
from relay.core.settings import TlsMode


def seen_words(evidence: TlsEvidence) -> str:
    """Say how far TLS got, without any judgement."""
    match evidence.handshake:
        case HandshakeDone(version=version, cipher=cipher):
            return f"{version} {cipher}"
        case HandshakeFailed(problem=problem, detail=detail):
            return f"TLS handshake failed: {problem.value} ({detail})"
        case NotTried():
            return _without_handshake(evidence)
        case _:
            assert_never(evidence.handshake)


def _without_handshake(evidence: TlsEvidence) -> str:
    if evidence.mode is TlsMode.IMPLICIT:
        return "no TLS handshake begun"
    match evidence.starttls_offered, evidence.starttls_reply:
        case None, _:
            return "no answer to EHLO"
        case False, _:
            return "STARTTLS not offered"
        case True, None:
            return "STARTTLS not answered" if evidence.starttls_sent else "STARTTLS not used"
        case True, reply:
            return f"STARTTLS answered {reply}"
        case _:
            assert_never(evidence.starttls_offered)


def outcome_words(outcome: Outcome) -> str:
    """Say how a try ended, with the host's own words where it had any."""
    match outcome:
        case Delivered(reply=reply):
            return f"delivered: {reply}"
        case Deferred(failure=failure):
            return f"deferred {failure.stage.value}: {_failure_words(failure)}"
        case Failed(failure=failure):
            return f"failed {failure.stage.value}: {_failure_words(failure)}"
        case _:
            assert_never(outcome)


def _failure_words(failure: Failure) -> str:
    match failure:
        case TlsRefusal(peer_reply=Reply(positive=False) as refusal):
            return f"refused by the TLS policy; the host said {refusal}"
        case TlsRefusal():
            return "refused by the TLS policy"
        case PeerRefusal():
            return str(failure.reply)
        case ConnectionFailure():
            return f"connection {failure.problem.value} ({failure.detail})"
        case DnsFailure():
            return f"{failure.problem.value} ({failure.name})"
        case LocalRefusal():
            return f"{failure.problem.value} ({failure.detail})"
        case _:
            assert_never(failure)


def certificate_words(pem: str) -> str:
    """Name a certificate's subject, issuer and end, or say that it can't be read."""
    from cryptography import x509

    from relay.tls.describe import moment, name_text

    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        subject, issuer = name_text(certificate.subject), name_text(certificate.issuer)
        return f"{subject}, issued by {issuer}, until {moment(certificate.not_valid_after_utc)}"
    except ValueError:
        return "a certificate that can't be read"
