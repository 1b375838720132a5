"""What the certificates were issued for, and whether all they demand is understood."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from relay.core.faults import FaultKind, TlsFault
from relay.tls.describe import listed
from relay.tls.path import CertificationPath
from relay.tls.pool import UNREADABLE, extension

_SERVER: Final = frozenset(
    {
        ExtendedKeyUsageOID.SERVER_AUTH,
        # "Server Gated Crypto", of Microsoft and Netscape, which OpenSSL still counts.
        x509.ObjectIdentifier("1.3.6.1.4.1.311.10.3.3"),
        x509.ObjectIdentifier("2.16.840.1.113730.4.1"),
    }
)
_UNDERSTOOD: Final = frozenset(
    {
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.INHIBIT_ANY_POLICY,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    }
)


def purpose_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find certificates that are not for TLS servers.

    As OpenSSL's purpose "sslserver": an extended key usage, where present, must name serverAuth, on
    issuers too (anyExtendedKeyUsage does not do); the leaf's key must be usable in a handshake.
    """
    for certificate in path.certificates:
        usages = extension(certificate, x509.ExtendedKeyUsage)
        if usages is not None and not _SERVER.intersection(usages):
            found = listed([_usage_text(usage) for usage in usages])
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_WRONG_PURPOSE,
                detail=f"{path.about(certificate)}extended key usage: {found}; wanted serverAuth",
            )
    usage = extension(path.leaf, x509.KeyUsage)
    if usage is not None and not (
        usage.digital_signature or usage.key_encipherment or usage.key_agreement
    ):
        yield TlsFault(
            kind=FaultKind.CERTIFICATE_WRONG_PURPOSE,
            detail="key usage: neither signatures, key encipherment nor key agreement",
        )


def _usage_text(usage: x509.ObjectIdentifier) -> str:
    return _USAGE_NAMES.get(usage, usage.dotted_string)


_USAGE_NAMES: Final = {
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE: "anyExtendedKeyUsage",
    ExtendedKeyUsageOID.CLIENT_AUTH: "clientAuth",
    ExtendedKeyUsageOID.CODE_SIGNING: "codeSigning",
    ExtendedKeyUsageOID.EMAIL_PROTECTION: "emailProtection",
    ExtendedKeyUsageOID.OCSP_SIGNING: "OCSPSigning",
    ExtendedKeyUsageOID.TIME_STAMPING: "timeStamping",
}


def extension_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find critical extensions that are not understood (RFC 5280 section 4.2), or not readable."""
    for certificate in path.below_anchor:
        try:
            extensions = tuple(certificate.extensions)
        except UNREADABLE:
            detail = f"{path.about(certificate)}its extensions cannot be read"
            yield TlsFault(kind=FaultKind.CERTIFICATE_INVALID, detail=detail)
            continue
        unknown = [
            e.oid.dotted_string for e in extensions if e.critical and e.oid not in _UNDERSTOOD
        ]
        if unknown:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_UNKNOWN_EXTENSION,
                detail=f"{path.about(certificate)}critical extension {listed(unknown)}",
            )
