"""Certificates signed with SHA-1, which no current library makes any more.

The certificate is built with SHA-256; then the identifier of the algorithm is exchanged, which for
RSA has the same length, and what was exchanged is signed anew.
"""

from __future__ import annotations

from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

_SHA256_WITH_RSA: Final = bytes.fromhex("06092a864886f70d01010b")
_SHA1_WITH_RSA: Final = bytes.fromhex("06092a864886f70d010105")
"""Object identifiers in DER, RFC 8017 appendix A.2.4."""


def signed_with_sha1(
    certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
) -> x509.Certificate:
    """Return the certificate, signed anew by its issuer's key with SHA-1.

    Raises ValueError for a key that is not RSA's.
    """
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ValueError("only RSA keys sign with SHA-1 here")
    signed = certificate.tbs_certificate_bytes
    # The identifier stands twice: in what is signed, and once more ahead of the signature.
    whole = certificate.public_bytes(Encoding.DER)
    begin = whole.index(signed)
    weak = signed.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA, 1)
    after = whole[begin + len(signed) : -len(certificate.signature)]
    return x509.load_der_x509_certificate(
        whole[:begin]
        + weak
        + after.replace(_SHA256_WITH_RSA, _SHA1_WITH_RSA)
        + key.sign(weak, padding.PKCS1v15(), hashes.SHA1())  # noqa: S303 - the fault itself
    )
