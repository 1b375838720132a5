"""The lab's revocation list: one number, which every certificate of a `revoked` recipe bears.

The number is fixed, so that the list can be published, and read by a policy's `crl`, before the
first such certificate is made.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from relay.lab.issuing import Signer

REVOKED_SERIAL: Final = int.from_bytes(b"Relaylab: revoked")
"""The serial number of every revoked certificate."""

_VALIDITY: Final = timedelta(days=365 * 100)


def revocation_list(issuer: Signer, now: datetime) -> bytes:
    """Return the list of `issuer`, as PEM; it is current for a century from yesterday on."""
    begins = now - timedelta(days=1)
    revoked = (
        x509.RevokedCertificateBuilder()
        .serial_number(REVOKED_SERIAL)
        .revocation_date(begins)
        .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
        .build()
    )
    identifier = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(begins)
        .next_update(begins + _VALIDITY)
        .add_revoked_certificate(revoked)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier.value),
            critical=False,
        )
        .sign(issuer.key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def is_list_of(pem: bytes, issuer: Signer) -> bool:
    """Whether `pem` is a revocation list that `issuer` has signed."""
    try:
        return x509.load_pem_x509_crl(pem).is_signature_valid(issuer.key.public_key())
    except ValueError:
        return False
