"""All faults of a chain: our own checks, then OpenSSL as second judge.

The own checks list everything; OpenSSL stops at its first reason, and which one that is depends on
its version. What OpenSSL objects to and the own checks do not account for becomes a fault too, so
that a chain without faults is one that both accept.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from cryptography import x509

from relay.core.faults import FAULT_ORDER, FaultKind, TlsFault
from relay.core.tls_policy import CommonName
from relay.tls.authority import issuer_faults, name_constraint_faults
from relay.tls.names import ReferenceName, name_faults
from relay.tls.openssl import objections
from relay.tls.path import CertificationPath, build_path, signature_faults, trust_faults
from relay.tls.purpose import extension_faults, purpose_faults
from relay.tls.strength import strength_faults
from relay.tls.trust import TrustStore
from relay.tls.validity import date_faults, revocation_faults
from relay.tls.verify_codes import explains, fault_for


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
    for objection in objections(path, sent, store, at):
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
            return x509.load_pem_x509_certificate(pem.encode())
        except ValueError:
            return None
