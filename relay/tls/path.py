"""The certification path: from a host's certificate up, as far as it can be followed.

As OpenSSL does with X509_V_FLAG_TRUSTED_FIRST: at every step an anchor is preferred to what the
host sent, and only a self-signed anchor ends a path well (no X509_V_FLAG_PARTIAL_CHAIN).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from itertools import islice
from typing import Final, assert_never

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa

from relay.core.faults import FaultKind, TlsFault
from relay.tls.describe import name_text
from relay.tls.pool import CertificatePool, may_be_self_signed
from relay.tls.trust_store import TrustStore

_MAX_LENGTH: Final = 16
"""Longer than any real path; bounds the work that a host can cause."""
MAX_NAMESAKES: Final = 8
"""Certificates of a host that are tried for one issuer; more bear one name only to cost time."""
_MAX_EXPONENT_BITS: Final = 64
"""Of an RSA key whose signatures are verified; real ones have 17, and more cost a hundredfold."""


@unique
class PathEnd(Enum):
    """How a path ends."""

    TRUSTED = "trusted"
    SELF_SIGNED_LEAF = "self-signed-leaf"
    UNTRUSTED_ROOT = "untrusted-root"
    ISSUER_UNKNOWN = "issuer-unknown"


@unique
class SignatureState(Enum):
    """What is known of a signature; UNKNOWN when its algorithm cannot be computed here."""

    GOOD = "good"
    BAD = "bad"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificationPath:
    """`certificates` runs from the host's own to the last that was found; never empty."""

    certificates: tuple[x509.Certificate, ...]
    end: PathEnd

    @property
    def leaf(self) -> x509.Certificate:
        """The host's own certificate."""
        return self.certificates[0]

    @property
    def top(self) -> x509.Certificate:
        """The last certificate that was found."""
        return self.certificates[-1]

    @property
    def trusted(self) -> bool:
        """Whether the path ends at an anchor, which is then its last certificate."""
        return self.end is PathEnd.TRUSTED

    @property
    def below_anchor(self) -> tuple[x509.Certificate, ...]:
        """The certificates that are not themselves the anchor."""
        return self.certificates[:-1] if self.trusted else self.certificates

    def about(self, certificate: x509.Certificate) -> str:
        """Return how a detail begins: with the certificate's name, unless it is the leaf."""
        return "" if certificate is self.leaf else f"{name_text(certificate.subject)}: "


def signature_state(certificate: x509.Certificate, issuer: x509.Certificate) -> SignatureState:
    """Verify one signature against the issuer's key."""
    try:
        key = issuer.public_key()
        if isinstance(key, rsa.RSAPublicKey) and _is_slow(key):
            return SignatureState.UNKNOWN
        certificate.verify_directly_issued_by(issuer)
    except InvalidSignature:
        return SignatureState.BAD
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return SignatureState.UNKNOWN
    return SignatureState.GOOD


def _is_slow(key: rsa.RSAPublicKey) -> bool:
    return key.public_numbers().e.bit_length() > _MAX_EXPONENT_BITS


def build_path(
    leaf: x509.Certificate,
    sent: Sequence[x509.Certificate],
    anchors: CertificatePool,
    at: datetime,
) -> CertificationPath:
    """Follow the issuers from the leaf up; like OpenSSL, without going back on a choice."""
    below = CertificatePool(sent)
    path: tuple[x509.Certificate, ...] = (leaf,)
    while (end := _end_of(path, anchors)) is None:
        issuer = _next_issuer(path, anchors, at) or _next_issuer(
            path, below, at, most=MAX_NAMESAKES
        )
        if issuer is None or len(path) == _MAX_LENGTH:
            end = PathEnd.ISSUER_UNKNOWN
            break
        path = (*path, issuer)
    return CertificationPath(certificates=path, end=end)


def _next_issuer(
    path: tuple[x509.Certificate, ...],
    pool: CertificatePool,
    at: datetime,
    *,
    most: int | None = None,
) -> x509.Certificate | None:
    last = path[-1]
    fitting = (issuer for issuer in pool.issuers_of(last) if issuer not in path)
    issuers = list(islice(fitting, most))
    if len(issuers) > 1:
        return min(issuers, key=lambda issuer: _unlikely(last, issuer, at))
    return issuers[0] if issuers else None


def _end_of(so_far: tuple[x509.Certificate, ...], anchors: CertificatePool) -> PathEnd | None:
    last = so_far[-1]
    if not may_be_self_signed(last):
        return None
    if last in anchors:
        return PathEnd.TRUSTED
    if signature_state(last, last) is SignatureState.BAD:
        # A new key of the same authority, signed with its old one, bears the same name twice.
        return None
    return PathEnd.SELF_SIGNED_LEAF if len(so_far) == 1 else PathEnd.UNTRUSTED_ROOT


def _unlikely(
    certificate: x509.Certificate, issuer: x509.Certificate, at: datetime
) -> tuple[bool, bool]:
    bad = signature_state(certificate, issuer) is SignatureState.BAD
    return bad, not issuer.not_valid_before_utc <= at <= issuer.not_valid_after_utc


def trust_faults(
    path: CertificationPath, sent: Sequence[x509.Certificate], store: TrustStore, at: datetime
) -> Iterator[TlsFault]:
    """Say why the path ends short of an anchor, if it does.

    A missing intermediate and a private authority look alike from outside (OpenSSL gives code 20
    for both): only an intermediate that is known can be said to be missing.
    """
    match path.end:
        case PathEnd.TRUSTED:
            return
        case PathEnd.SELF_SIGNED_LEAF:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_SELF_SIGNED,
                detail=f"{name_text(path.leaf.subject)} is signed by itself",
            )
        case PathEnd.UNTRUSTED_ROOT:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_UNTRUSTED_ROOT,
                detail=f"the chain ends at {name_text(path.top.subject)}, which is not trusted",
            )
        case PathEnd.ISSUER_UNKNOWN:
            yield _issuer_unknown(path, sent, store, at)
        case _:
            assert_never(path.end)


def _issuer_unknown(
    path: CertificationPath, sent: Sequence[x509.Certificate], store: TrustStore, at: datetime
) -> TlsFault:
    issuer = name_text(path.top.issuer)
    pool = (*sent, *store.known_intermediates.certificates)
    if build_path(path.leaf, pool, store.anchors, at).trusted:
        return TlsFault(
            kind=FaultKind.CERTIFICATE_MISSING_INTERMEDIATE,
            detail=f"the issuer {issuer} is an intermediate, and was not sent",
        )
    return TlsFault(
        kind=FaultKind.CERTIFICATE_UNTRUSTED_ROOT,
        detail=f"the issuer {issuer} was not sent and is not trusted; "
        "either it is private or an intermediate is missing",
    )


def signature_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find signatures on the path that their issuer's key does not verify."""
    for certificate, issuer in zip(path.certificates, path.certificates[1:], strict=False):
        if signature_state(certificate, issuer) is SignatureState.BAD:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_BAD_SIGNATURE,
                detail=f"{path.about(certificate)}the signature does not fit the key of "
                f"{name_text(issuer.subject)}",
            )
