"""Key lengths and signature digests, by the measure of OpenSSL's security level 2 (112 bits).

The measure is the same under every policy: one that admits TLS 1.0 lowers the level of the
handshake, not what is asked of certificates.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa

from relay.core.faults import FaultKind, TlsFault
from relay.tls.path import CertificationPath
from relay.tls.pool import may_be_self_signed

_MIN_RSA_BITS: Final = 2048
_MIN_CURVE_BITS: Final = 224
_MIN_DIGEST_BITS: Final = 224


def strength_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find keys that are too short, and signatures with a digest that is broken.

    A self-signed certificate's own signature proves nothing and is not asked for.
    """
    for certificate in path.certificates:
        yield from _key_faults(path, certificate)
        if certificate is not path.top or not may_be_self_signed(certificate):
            yield from _digest_faults(path, certificate)


def _key_faults(path: CertificationPath, certificate: x509.Certificate) -> Iterator[TlsFault]:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        detail = f"{path.about(certificate)}a public key of an unknown kind"
        yield TlsFault(kind=FaultKind.CERTIFICATE_INVALID, detail=detail)
        return
    match key:
        case rsa.RSAPublicKey() if key.key_size < _MIN_RSA_BITS:
            found, wanted = f"RSA key of {key.key_size} bits", _MIN_RSA_BITS
        case dsa.DSAPublicKey() if key.key_size < _MIN_RSA_BITS:
            found, wanted = f"DSA key of {key.key_size} bits", _MIN_RSA_BITS
        case ec.EllipticCurvePublicKey() if key.key_size < _MIN_CURVE_BITS:
            found, wanted = f"elliptic-curve key of {key.key_size} bits", _MIN_CURVE_BITS
        case _:
            return
    yield TlsFault(
        kind=FaultKind.CERTIFICATE_WEAK_KEY,
        detail=f"{path.about(certificate)}{found}; wanted {wanted} or more",
    )


def _digest_faults(path: CertificationPath, certificate: x509.Certificate) -> Iterator[TlsFault]:
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        oid = certificate.signature_algorithm_oid.dotted_string
        found = f"an unknown algorithm ({oid})"
    else:
        # Ed25519 and Ed448 sign without a separate digest.
        if digest is None or digest.digest_size * 8 >= _MIN_DIGEST_BITS:
            return
        found = digest.name.upper()
    yield TlsFault(
        kind=FaultKind.CERTIFICATE_WEAK_SIGNATURE,
        detail=f"{path.about(certificate)}signed with {found}; wanted SHA-256 or better",
    )
