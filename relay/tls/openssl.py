"""OpenSSL as second judge of a recorded path, by pyOpenSSL's `X509StoreContext`.

Two questions, because OpenSSL names one reason only: is the path good at that time, and would it be
good otherwise, were it trusted and in time? It does not look at names, purpose and key strength
here (pyOpenSSL has no public way to ask for them): those are for our own checks alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from OpenSSL import crypto

from relay.tls.path import CertificationPath
from relay.tls.pool import CertificatePool
from relay.tls.trust_store import TrustStore

_NO_CHECK_TIME: Final = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME (include/openssl/x509_vfy.h), for which pyOpenSSL has no name."""


@dataclass(frozen=True, slots=True)
class Objection:
    """OpenSSL's reason: its X509_V_ERR code, the depth (0 is the leaf) and its words."""

    code: int
    depth: int
    words: str


def objections(
    path: CertificationPath,
    sent: Sequence[x509.Certificate],
    store: TrustStore,
    at: datetime,
) -> tuple[Objection, ...]:
    """Return what OpenSSL objects to; the second question is asked only after a first objection."""
    flags = crypto.X509StoreFlags.CRL_CHECK if store.checks_revocation else 0
    at_that_time = _store(store.anchors, store, flags)
    # pyOpenSSL reads the fields of the time as UTC, whatever its zone.
    at_that_time.set_time(at.astimezone(UTC))
    first = _objection(at_that_time, path.leaf, sent)
    if first is None:
        return ()
    if path.trusted:
        otherwise = _store(store.anchors, store, flags | _NO_CHECK_TIME)
    else:
        flags = crypto.X509StoreFlags.PARTIAL_CHAIN | _NO_CHECK_TIME
        otherwise = _store(CertificatePool((path.top,)), store, flags)
    second = _objection(otherwise, path.leaf, sent)
    return (first,) if second is None or second == first else (first, second)


def _store(anchors: CertificatePool, trust: TrustStore, flags: int) -> crypto.X509Store:
    store = crypto.X509Store()
    for anchor in anchors.for_openssl:
        store.add_cert(anchor)
    for crl in trust.revocation_lists:
        store.add_crl(crl)
    store.set_flags(flags)
    return store


def _objection(
    store: crypto.X509Store, leaf: x509.Certificate, sent: Sequence[x509.Certificate]
) -> Objection | None:
    untrusted = [crypto.X509.from_cryptography(certificate) for certificate in sent]
    context = crypto.X509StoreContext(store, crypto.X509.from_cryptography(leaf), untrusted)
    try:
        context.verify_certificate()
    except crypto.X509StoreContextError as error:
        code, depth, words = error.errors
        return Objection(code=code, depth=depth, words=words)
    return None
