"""All faults of a chain: our own checks, then OpenSSL as second judge.

The own checks list everything; OpenSSL stops at its first reason, and which one that is depends on
its version. What OpenSSL objects to and the own checks do not account for becomes a fault too, so
that a chain without faults is one that both accept.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from cryptography import x509
from OpenSSL import crypto

from relay.core.faults import FAULT_ORDER, FaultKind, TlsFault
from relay.core.tls_policy import CommonName
from relay.tls.authority import issuer_faults, name_constraint_faults
from relay.tls.examined import ExaminedChains, Result
from relay.tls.names import ReferenceName, name_faults
from relay.tls.openssl import objections
from relay.tls.path import CertificationPath, build_path, signature_faults, trust_faults
from relay.tls.pool import may_be_self_signed
from relay.tls.purpose import extension_faults, purpose_faults
from relay.tls.strength import strength_faults
from relay.tls.trust_store import TrustStore
from relay.tls.validity import date_faults, revocation_faults
from relay.tls.verify_codes import explains, fault_for

_DATED: Final = frozenset({FaultKind.CERTIFICATE_EXPIRED, FaultKind.CERTIFICATE_NOT_YET_VALID})
"""Their details say how long ago, or how soon."""


def chain_faults(
    chain: Sequence[str],
    *,
    wanted: tuple[ReferenceName, ...],
    common_name: CommonName,
    at: datetime,
    store: TrustStore,
) -> tuple[TlsFault, ...]:
    """Return every fault of a chain (PEM, the host's own certificate first, not empty)."""
    leaf = read_certificate(chain[0])
    if leaf is None:
        detail = "the host's certificate cannot be read"
        return (TlsFault(kind=FaultKind.CERTIFICATE_INVALID, detail=detail),)
    sent = [certificate for pem in chain[1:] if (certificate := read_certificate(pem)) is not None]
    path = build_path(leaf, sent, store.anchors, at)
    found = (
        *_path_faults(path, sent, store, at),
        *name_faults(leaf, wanted, common_name),
    )
    return in_report_order((*found, *_unexplained(path, sent, store, at, found)))


def remembered_faults(
    chain: tuple[str, ...],
    *,
    wanted: tuple[ReferenceName, ...],
    common_name: CommonName,
    at: datetime,
    store: TrustStore,
    examined: ExaminedChains | None,
) -> tuple[TlsFault, ...]:
    """Return what `chain_faults` does, from memory where it was asked the same before."""
    if examined is None:
        return chain_faults(chain, wanted=wanted, common_name=common_name, at=at, store=store)

    def find() -> Result[tuple[TlsFault, ...]]:
        faults = chain_faults(chain, wanted=wanted, common_name=common_name, at=at, store=store)
        dated = any(fault.kind in _DATED for fault in faults)
        return Result(faults, tuple(_moments(chain, store)), dated)

    return examined.recall(("faults", chain, wanted, common_name), about=store, at=at, find=find)


def _moments(chain: Sequence[str], store: TrustStore) -> Iterator[datetime]:
    """Return when any of the certificates, and any revocation list, begins or ends."""
    sent = filter(None, map(read_certificate, chain))
    for certificate in (
        *sent,
        *store.anchors.certificates,
        *store.known_intermediates.certificates,
    ):
        with contextlib.suppress(ValueError):
            yield certificate.not_valid_before_utc
            yield certificate.not_valid_after_utc
    for crl in store.revocation_lists:
        yield crl.last_update_utc
        if crl.next_update_utc is not None:
            yield crl.next_update_utc


def in_report_order(faults: Iterable[TlsFault]) -> tuple[TlsFault, ...]:
    """Return one fault of each kind in the order of `FaultKind`, their details put together."""
    details: dict[FaultKind, list[str]] = {}
    for fault in faults:
        known = details.setdefault(fault.kind, [])
        if fault.detail not in known:
            known.append(fault.detail)
    return tuple(
        TlsFault(kind=kind, detail="; ".join(details[kind]))
        for kind in sorted(details, key=FAULT_ORDER.__getitem__)
    )


def _path_faults(
    path: CertificationPath, sent: Sequence[x509.Certificate], store: TrustStore, at: datetime
) -> Iterator[TlsFault]:
    yield from trust_faults(path, sent, store, at)
    yield from signature_faults(path)
    yield from issuer_faults(path)
    yield from date_faults(path, at)
    if store.checks_revocation:
        yield from revocation_faults(path, store.revocation_lists, at)
    yield from purpose_faults(path)
    yield from strength_faults(path)
    yield from name_constraint_faults(path)
    yield from extension_faults(path)


def _unexplained(
    path: CertificationPath,
    sent: Sequence[x509.Certificate],
    store: TrustStore,
    at: datetime,
    found: Sequence[TlsFault],
) -> Iterator[TlsFault]:
    kinds = {fault.kind for fault in found}
    try:
        objected = objections(path, sent, store, at)
    except crypto.Error:
        yield TlsFault(
            kind=FaultKind.CERTIFICATE_INVALID,
            detail="OpenSSL can't read a certificate of the chain",
        )
        return
    for objection in objected:
        if not explains(kinds, objection.code):
            yield TlsFault(
                kind=fault_for(objection.code),
                detail=f"OpenSSL: {objection.words} (verify code {objection.code}, "
                f"depth {objection.depth})",
            )


def read_certificate(pem: str) -> x509.Certificate | None:
    """Return a certificate that a host sent, None for one that can't be read."""
    with warnings.catch_warnings():
        # A host may send what the library frowns at; what is wrong with it is found by the checks.
        warnings.simplefilter("ignore")
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            # The library decodes a part when it is asked for; every check asks for the names.
            may_be_self_signed(certificate)
        except (ValueError, TypeError, x509.InvalidVersion):
            return None
    return certificate
