"""Dates of the path, and the leaf's standing in its issuer's revocation list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from relay.core.faults import FaultKind, TlsFault
from relay.tls.describe import distance, moment, name_text
from relay.tls.path import CertificationPath
from relay.tls.pool import name_key


def date_faults(path: CertificationPath, at: datetime) -> Iterator[TlsFault]:
    """Find certificates that are out of their time, the anchor included, as OpenSSL does."""
    for certificate in path.certificates:
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if at > ends:
            ago = f"{distance(at - ends)} ago"
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_EXPIRED,
                detail=f"{path.about(certificate)}expired {moment(ends)}, {ago}",
            )
        elif at < begins:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_NOT_YET_VALID,
                detail=f"{path.about(certificate)}valid from {moment(begins)}, "
                f"in {distance(begins - at)}",
            )


def revocation_faults(
    path: CertificationPath, lists: Sequence[x509.CertificateRevocationList], at: datetime
) -> Iterator[TlsFault]:
    """Look the leaf up in its issuer's lists (RFC 5280 section 5); only current ones clear it.

    Without the issuer's certificate no list can be believed; the missing trust is then the fault.
    """
    issuer = _issuer_of_leaf(path)
    if issuer is None:
        return
    own = [crl for crl in lists if name_key(crl.issuer) == name_key(path.leaf.issuer)]
    signed = [crl for crl in own if _signed_by(crl, issuer)]
    current = [crl for crl in signed if _is_current(crl, at)]
    for crl in current or signed:
        entry = crl.get_revoked_certificate_by_serial_number(path.leaf.serial_number)
        if entry is not None:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_REVOKED,
                detail=f"revoked {moment(entry.revocation_date_utc)} by {name_text(crl.issuer)}",
            )
            return
    if current:
        return
    name = name_text(path.leaf.issuer)
    if signed:
        detail = f"the revocation list of {name} is not current: {_period(signed[0])}"
    elif own:
        detail = f"the revocation list of {name} is not signed by its key"
    else:
        detail = f"there is no revocation list of {name}"
    yield TlsFault(kind=FaultKind.CERTIFICATE_REVOCATION_UNKNOWN, detail=detail)


def _issuer_of_leaf(path: CertificationPath) -> x509.Certificate | None:
    if len(path.certificates) > 1:
        return path.certificates[1]
    return path.leaf if path.trusted else None


def _signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    try:
        # Keys that cannot sign (key agreement alone) are the library's TypeError.
        return crl.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]
    except (TypeError, ValueError, UnsupportedAlgorithm):
        return False


def _is_current(crl: x509.CertificateRevocationList, at: datetime) -> bool:
    ends = crl.next_update_utc
    return crl.last_update_utc <= at and (ends is None or at <= ends)


def _period(crl: x509.CertificateRevocationList) -> str:
    ends = crl.next_update_utc
    until = f" to {moment(ends)}" if ends else ""
    return f"{moment(crl.last_update_utc)}{until}"
