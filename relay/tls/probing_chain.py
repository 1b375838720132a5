"""A chain as a host sent it, certificate by certificate, for people who have to mend it.

Nothing here decides: `relay.tls.examine` finds the faults. Every text that a host wrote is made
printable.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from itertools import islice
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID

from relay.tls.certificate import read_certificate
from relay.tls.describe import name_text, printable
from relay.tls.path import MAX_NAMESAKES, PathEnd, SignatureState, build_path, signature_state
from relay.tls.pool import (
    CertificatePool,
    extension,
    may_be_self_signed,
    may_have_issued,
    self_issued,
)
from relay.tls.trust_store import TrustStore

_DAY: Final = 86_400


@unique
class Validity(Enum):
    """Where a moment lies in a certificate's life."""

    NOT_YET = "not-yet-valid"
    VALID = "valid"
    EXPIRED = "expired"


@unique
class IssuedBy(Enum):
    """Who issued a certificate, as far as what the host sent and the trusted roots tell."""

    NEXT = "next"
    """The certificate that follows it."""
    ANOTHER_SENT = "another-sent"
    """A certificate that was sent, but not right behind it (RFC 5246 section 7.4.2)."""
    ITSELF = "itself"
    TRUSTED = "trusted"
    """A trusted root, which need not be sent."""
    NOT_SENT = "not-sent"
    """Nobody that was sent or is trusted: here the chain is broken."""
    WRONG_KEY = "wrong-key"
    """The one that bears the issuer's name, but its key does not fit the signature."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainLink:
    """One certificate; `number` counts from 1, the host's own.

    `names` are the DNS names and addresses that it bears. `days_left` counts whole days from the
    check to the end, negative once it has passed. `key` and `signature` are words such as 'RSA 2048
    bits' and 'SHA-256'. `issuer_addresses` are where its authority says that the issuer's
    certificate can be had (caIssuers, RFC 5280 section 4.2.2.1); they are never fetched.
    """

    number: int
    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    days_left: int
    validity: Validity
    key: str
    signature: str
    self_issued: bool
    issued_by: IssuedBy
    issuer_addresses: tuple[str, ...]
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainView:
    """`links` in the order of sending; `unreadable` are numbers of certificates that can't be read.

    `end` is how the path up from the host's own certificate ends, None where that can't be read.
    `anchor` is the trusted root that it ends at. `missing` is the issuer that was neither sent nor
    is trusted.
    """

    links: tuple[ChainLink, ...]
    unreadable: tuple[int, ...]
    end: PathEnd | None
    anchor: str | None
    missing: str | None


def view_chain(chain: Sequence[str], *, store: TrustStore, at: datetime) -> ChainView:
    """Read a chain (PEM, the host's own certificate first), as of a moment."""
    read = [read_certificate(pem) for pem in chain]
    sent = [certificate for certificate in read if certificate is not None]
    pool = CertificatePool(sent)
    links: list[ChainLink] = []
    unreadable: list[int] = []
    for number, certificate in enumerate(read, start=1):
        link = None
        if certificate is not None:
            following = read[number] if number < len(read) else None
            link = _link(number, certificate, following, sent=pool, store=store, at=at)
        if link is None:
            unreadable.append(number)
        else:
            links.append(link)
    leaf = read[0] if read else None
    if leaf is None or 1 in unreadable:
        return ChainView(
            links=tuple(links), unreadable=tuple(unreadable), end=None, anchor=None, missing=None
        )
    path = build_path(leaf, sent[1:], store.anchors, at)
    return ChainView(
        links=tuple(links),
        unreadable=tuple(unreadable),
        end=path.end,
        anchor=name_text(path.top.subject) if path.trusted else None,
        missing=name_text(path.top.issuer) if path.end is PathEnd.ISSUER_UNKNOWN else None,
    )


def _link(
    number: int,
    certificate: x509.Certificate,
    following: x509.Certificate | None,
    *,
    sent: CertificatePool,
    store: TrustStore,
    at: datetime,
) -> ChainLink | None:
    """Return what a certificate says; None where one of its parts can't be decoded."""
    try:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return ChainLink(
            number=number,
            subject=name_text(certificate.subject),
            issuer=name_text(certificate.issuer),
            names=tuple(_names(certificate)),
            not_before=begins,
            not_after=ends,
            days_left=int((ends - at).total_seconds() // _DAY),
            validity=_validity(begins, ends, at),
            key=_key_words(certificate),
            signature=_signature_words(certificate),
            self_issued=self_issued(certificate),
            issued_by=_issued_by(certificate, following, sent, store),
            issuer_addresses=tuple(_issuer_addresses(certificate)),
            sha256=certificate.fingerprint(hashes.SHA256()).hex(),
        )
    except (ValueError, TypeError):
        return None


def _validity(begins: datetime, ends: datetime, at: datetime) -> Validity:
    if at < begins:
        return Validity.NOT_YET
    return Validity.EXPIRED if at > ends else Validity.VALID


def _names(certificate: x509.Certificate) -> Iterator[str]:
    alternative = extension(certificate, x509.SubjectAlternativeName)
    for name in alternative or ():
        match name:
            case x509.DNSName() | x509.IPAddress():
                yield printable(str(name.value))
            case _:
                continue


def _issued_by(
    certificate: x509.Certificate,
    following: x509.Certificate | None,
    sent: CertificatePool,
    store: TrustStore,
) -> IssuedBy:
    if may_be_self_signed(certificate):
        return IssuedBy.TRUSTED if certificate in store.anchors else IssuedBy.ITSELF
    wrong_key = False
    if following is not None and may_have_issued(following, certificate):
        if _signed(certificate, following):
            return IssuedBy.NEXT
        wrong_key = True
    others = (c for c in sent.issuers_of(certificate) if c not in (certificate, following))
    if any(_signed(certificate, other) for other in islice(others, MAX_NAMESAKES)):
        return IssuedBy.ANOTHER_SENT
    if any(_signed(certificate, root) for root in store.anchors.issuers_of(certificate)):
        return IssuedBy.TRUSTED
    return IssuedBy.WRONG_KEY if wrong_key else IssuedBy.NOT_SENT


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    return signature_state(certificate, issuer) is not SignatureState.BAD


def _key_words(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return "a key of an unknown kind"
    match key:
        case rsa.RSAPublicKey():
            return f"RSA {key.key_size} bits"
        case dsa.DSAPublicKey():
            return f"DSA {key.key_size} bits"
        case ec.EllipticCurvePublicKey():
            return f"EC {key.curve.name}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
        case _:
            return type(key).__name__.removesuffix("PublicKey").removeprefix("_")


def _signature_words(certificate: x509.Certificate) -> str:
    oid = certificate.signature_algorithm_oid
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return f"unknown ({oid.dotted_string})"
    if digest is None:
        # Ed25519 and Ed448 sign without a separate digest.
        return _WITHOUT_DIGEST.get(oid, oid.dotted_string)
    return _DIGESTS.get(digest.name, digest.name.upper())


_DIGESTS: Final = {
    "sha1": "SHA-1",
    "sha224": "SHA-224",
    "sha256": "SHA-256",
    "sha384": "SHA-384",
    "sha512": "SHA-512",
    "md5": "MD5",
}
_WITHOUT_DIGEST: Final = {
    x509.SignatureAlgorithmOID.ED25519: "Ed25519",
    x509.SignatureAlgorithmOID.ED448: "Ed448",
}


def _issuer_addresses(certificate: x509.Certificate) -> Iterator[str]:
    access = extension(certificate, x509.AuthorityInformationAccess)
    for description in access or ():
        if description.access_method == AuthorityInformationAccessOID.CA_ISSUERS and (
            isinstance(description.access_location, x509.UniformResourceIdentifier)
        ):
            yield printable(description.access_location.value)
