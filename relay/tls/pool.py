"""A set of certificates in which the issuer of another one is looked for."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Final, TypeVar

from cryptography import x509
from OpenSSL import crypto

UNREADABLE: Final = (
    ValueError,
    TypeError,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for extensions that it can't read, or won't."""

_Extension = TypeVar("_Extension", bound=x509.ExtensionType)

NameKey = tuple[frozenset[tuple[str, str]], ...]


def name_key(name: x509.Name) -> NameKey:
    """Return a key that is equal for names that RFC 5280 section 7.1 holds equal.

    Case and runs of blanks do not count.
    """
    return tuple(
        frozenset(
            (attribute.oid.dotted_string, _folded(attribute.value)) for attribute in relative_name
        )
        for relative_name in name.rdns
    )


def _folded(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else " ".join(value.split()).casefold()


def extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    """Return an extension's value; None when it is absent or its encoding cannot be read.

    `relay.tls.purpose.extension_faults` reports the latter.
    """
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, *UNREADABLE):
        return None


def self_issued(certificate: x509.Certificate) -> bool:
    """Whether subject and issuer are the same name (RFC 5280 section 3.2), whatever the keys."""
    return name_key(certificate.subject) == name_key(certificate.issuer)


def may_be_self_signed(certificate: x509.Certificate) -> bool:
    """Whether the certificate may have issued itself, by name and key identifier."""
    return may_have_issued(certificate, certificate)


def may_have_issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether names and key identifiers fit (RFC 5280 section 4.2.1.1), the signature unread."""
    return name_key(issuer.subject) == name_key(certificate.issuer) and _identifies(
        certificate, issuer
    )


def _identifies(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the issuer's key identifier and number are what the certificate says they are."""
    wanted = extension(certificate, x509.AuthorityKeyIdentifier)
    if wanted is None:
        return True
    found = extension(issuer, x509.SubjectKeyIdentifier)
    if (
        wanted.key_identifier is not None
        and found is not None
        and wanted.key_identifier != found.key_identifier
    ):
        return False
    serial = wanted.authority_cert_serial_number
    return serial is None or serial == issuer.serial_number


class CertificatePool:
    """Certificates, in the order given, indexed by subject."""

    def __init__(self, certificates: Iterable[x509.Certificate] = ()) -> None:
        self.certificates = tuple(certificates)
        self._by_subject: dict[NameKey, list[x509.Certificate]] = {}
        for certificate in self.certificates:
            self._by_subject.setdefault(name_key(certificate.subject), []).append(certificate)

    @cached_property
    def for_openssl(self) -> tuple[crypto.X509, ...]:
        """The same certificates as pyOpenSSL's; a system's hundreds are turned into them once."""
        return tuple(
            crypto.X509.from_cryptography(certificate) for certificate in self.certificates
        )

    def __contains__(self, certificate: x509.Certificate) -> bool:
        return certificate in self._by_subject.get(name_key(certificate.subject), ())

    def issuers_of(self, certificate: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Return the certificates that may have issued this one, by name and key identifier."""
        named = self._by_subject.get(name_key(certificate.issuer), ())
        return tuple(issuer for issuer in named if _identifies(certificate, issuer))
