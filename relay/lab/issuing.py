"""Makes single certificates, in the one way that a recipe means and right in every other.

Everything that a strict examination asks for is always there (RFC 5280 section 4.2): both key
identifiers, basic constraints, key usage. Libraries for tests make honest certificates only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address
from typing import Final, assert_never

import idna
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from relay.lab.recipes import Digest, Extra, KeyKind, Purpose
from relay.lab.sha1 import signed_with_sha1

ORGANIZATION: Final = "Relaylab, for tests only"
MAX_COMMON_NAME: Final = 64
"""Characters, RFC 5280 appendix A.1 (ub-common-name)."""
UNKNOWN_EXTENSION: Final = x509.ObjectIdentifier("1.3.6.1.4.1.32473.1")
"""Below the enterprise number that is reserved for examples (RFC 5612)."""

_PURPOSES: Final = {
    Purpose.SERVER: ExtendedKeyUsageOID.SERVER_AUTH,
    Purpose.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH,
}
_NULL: Final = b"\x05\x00"

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Signer:
        """Read both; raise ValueError for what is neither."""
        loaded = load_pem_private_key(key, password=None)
        if not isinstance(loaded, PrivateKey):
            raise ValueError("the key is neither RSA nor on an elliptic curve")
        return cls(certificate=x509.load_pem_x509_certificate(certificate), key=loaded)

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """The key, unencrypted."""
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateForm:
    """What goes into a certificate.

    `unit` is the subject's organizational unit. With `authority` it may sign certificates, below
    itself at most `path_length` levels of authorities and for the domains in `permits` only.
    `serial` is None for a random number.
    """

    unit: str
    not_before: datetime
    not_after: datetime
    common_name: str | None = None
    names: Sequence[str] = ()
    key: KeyKind = KeyKind.EC_P256
    digest: Digest = Digest.SHA256
    purpose: Purpose | None = None
    authority: bool = False
    path_length: int | None = None
    permits: Sequence[str] = ()
    extras: Sequence[Extra] = ()
    serial: int | None = None


def issue(form: CertificateForm, issuer: Signer | None) -> Signer:
    """Make a key and its certificate, signed by `issuer` or, without one, by the key itself."""
    key = _make_key(form.key)
    subject = _subject(form)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    if issuer is None:
        signing_key, issuer_name, issuer_identifier = key, subject, identifier
    else:
        extensions = issuer.certificate.extensions
        signing_key, issuer_name = issuer.key, issuer.certificate.subject
        issuer_identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(form.serial or x509.random_serial_number())
        .not_valid_before(form.not_before)
        .not_valid_after(form.not_after)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_identifier),
            critical=False,
        )
    )
    for extension, critical in _extensions(form):
        builder = builder.add_extension(extension, critical=critical)
    certificate = builder.sign(signing_key, hashes.SHA256())
    match form.digest:
        case Digest.SHA256:
            pass
        case Digest.SHA1:
            certificate = signed_with_sha1(certificate, signing_key)
        case _:
            assert_never(form.digest)
    return Signer(certificate=certificate, key=key)


def _make_key(kind: KeyKind) -> PrivateKey:
    match kind:
        case KeyKind.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case KeyKind.RSA_1024:
            return rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - the fault itself
        case KeyKind.RSA_2048:
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case _:
            assert_never(kind)


def _subject(form: CertificateForm) -> x509.Name:
    attributes = [
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
        x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, form.unit),
    ]
    if form.common_name is not None and len(form.common_name) <= MAX_COMMON_NAME:
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, form.common_name))
    return x509.Name(attributes)


def _extensions(form: CertificateForm) -> list[tuple[x509.ExtensionType, bool]]:
    """Return what depends on the form, each with whether it is critical."""
    ends = not form.authority
    found: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=form.authority, path_length=form.path_length), True),
        (
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=False,
                key_encipherment=ends and form.key in {KeyKind.RSA_1024, KeyKind.RSA_2048},
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=form.authority,
                crl_sign=form.authority,
                encipher_only=False,
                decipher_only=False,
            ),
            True,
        ),
    ]
    if form.purpose is not None:
        found.append((x509.ExtendedKeyUsage([_PURPOSES[form.purpose]]), False))
    if form.names:
        names = [_general_name(name) for name in form.names]
        found.append((x509.SubjectAlternativeName(names), False))
    if form.permits:
        permitted = [x509.DNSName(domain) for domain in form.permits]
        found.append(
            (x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), True)
        )
    for extra in form.extras:
        match extra:
            case Extra.MUST_STAPLE:
                found.append((x509.TLSFeature([x509.TLSFeatureType.status_request]), False))
            case Extra.UNKNOWN_CRITICAL:
                found.append((x509.UnrecognizedExtension(UNKNOWN_EXTENSION, _NULL), True))
            case _:
                assert_never(extra)
    return found


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        pass
    if not text.isascii():
        wildcard = "*." if text.startswith("*.") else ""
        text = wildcard + idna.encode(text.removeprefix("*."), uts46=True).decode("ascii")
    return x509.DNSName(text)
