"""What the certificates above the leaf may issue: RFC 5280 sections 4.2.1.3, 4.2.1.9, 4.2.1.10."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from cryptography import x509

from relay.core.faults import FaultKind, TlsFault
from relay.tls.describe import listed, name_text
from relay.tls.path import CertificationPath
from relay.tls.pool import extension, self_issued

MAX_COMPARISONS: Final = 2**16
"""Of a leaf's names with the constraints of all issuers; a chain can hold millions of pairs."""


def issuer_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find issuers on the path that are no authority, or not at this depth.

    An anchor is an authority because the policy says so; its path length holds all the same.
    """
    for depth, certificate in enumerate(path.certificates[1:], start=1):
        constraints = extension(certificate, x509.BasicConstraints)
        if certificate in path.below_anchor:
            usage = extension(certificate, x509.KeyUsage)
            if constraints is None or not constraints.ca:
                yield _issuer_invalid(certificate, "is not an authority (basic constraints)")
            if usage is not None and not usage.key_cert_sign:
                yield _issuer_invalid(certificate, "may not sign certificates (key usage)")
        limit = None if constraints is None else constraints.path_length
        # RFC 5280 section 4.2.1.9: self-issued certificates do not count, nor does the leaf.
        below = sum(not self_issued(c) for c in path.certificates[1:depth])
        if limit is not None and below > limit:
            yield _issuer_invalid(
                certificate, f"allows {limit} intermediates below itself; there are {below}"
            )


def _issuer_invalid(certificate: x509.Certificate, what: str) -> TlsFault:
    return TlsFault(
        kind=FaultKind.CERTIFICATE_ISSUER_INVALID,
        detail=f"{name_text(certificate.subject)} {what}",
    )


def name_constraint_faults(path: CertificationPath) -> Iterator[TlsFault]:
    """Find names of the leaf that an issuer on the path may not certify.

    DNS names and IP addresses; other kinds of names are left to OpenSSL (`relay.tls.openssl`).
    """
    names = extension(path.leaf, x509.SubjectAlternativeName)
    if names is None:
        return
    names_of_leaf = [name for name in names if isinstance(name, x509.DNSName | x509.IPAddress)]
    left = MAX_COMPARISONS
    for issuer in path.certificates[1:]:
        constraints = extension(issuer, x509.NameConstraints)
        if constraints is None:
            continue
        permitted, excluded = constraints.permitted_subtrees, constraints.excluded_subtrees
        left -= len(names_of_leaf) * (len(permitted or ()) + len(excluded or ()))
        if left < 0:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_NAME_CONSTRAINT,
                detail=f"{name_text(issuer.subject)} adds more name constraints than are compared",
            )
            return
        outside = [str(name.value) for name in names_of_leaf if not _allowed(name, constraints)]
        if outside:
            yield TlsFault(
                kind=FaultKind.CERTIFICATE_NAME_CONSTRAINT,
                detail=f"{name_text(issuer.subject)} may not issue for {listed(outside)}",
            )


def _allowed(name: x509.DNSName | x509.IPAddress, constraints: x509.NameConstraints) -> bool:
    permitted = _of_kind(constraints.permitted_subtrees, name)
    excluded = _of_kind(constraints.excluded_subtrees, name)
    if any(_within(name, subtree) for subtree in excluded):
        return False
    return not permitted or any(_within(name, subtree) for subtree in permitted)


def _of_kind(
    subtrees: Sequence[x509.GeneralName] | None, name: x509.GeneralName
) -> list[x509.GeneralName]:
    return [subtree for subtree in subtrees or () if type(subtree) is type(name)]


def _within(name: x509.GeneralName, subtree: x509.GeneralName) -> bool:
    match name, subtree:
        case x509.DNSName(), x509.DNSName():
            base, dns = subtree.value.lower(), name.value.lower()
            if not base or dns == base:
                return True
            # OpenSSL reads a leading dot as "sub-domains only".
            return dns.endswith(base if base.startswith(".") else f".{base}")
        case x509.IPAddress(), x509.IPAddress():
            network = subtree.value
            if not isinstance(network, ipaddress.IPv4Network | ipaddress.IPv6Network):
                return False
            return name.value in network
        case _:
            return False
