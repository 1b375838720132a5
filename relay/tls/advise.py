"""What is worth a report in a session's evidence: no I/O, no clock, and no verdict depends on it.

`relay.tls.examine` finds what a policy may refuse; this finds what it never does. Trust plays no
part here: what a host sends is looked at as it was sent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from cryptography import x509

from relay.core.addresses import Domain
from relay.core.advisories import ADVISORY_ORDER, Advisory, AdvisoryKind
from relay.core.evidence import TlsEvidence
from relay.core.tls_policy import CommonName, TlsPolicy
from relay.tls.certificate import read_certificate
from relay.tls.describe import distance, moment, name_text
from relay.tls.examined import ExaminedChains, Result
from relay.tls.names import ReferenceName, name_faults, reference_names
from relay.tls.pool import extension, may_be_self_signed, may_have_issued

EXPIRES_SOON: Final = timedelta(days=14)
"""How long before its end a certificate is reported: a choice.

Tools renew with a third of the life left (Let's Encrypt's advice: 30 of 90 days), so that at half
of that the renewal is overdue. See `EXPIRES_SOON_PART` for certificates that never live so long.
"""

EXPIRES_SOON_PART: Final = 6
"""No certificate is reported before the last sixth of its life, half of the third above."""


def advise(
    evidence: TlsEvidence,
    policy: TlsPolicy,
    *,
    host: str,
    recipient_domain: Domain,
    at: datetime,
    examined: ExaminedChains | None = None,
) -> tuple[Advisory, ...]:
    """Return what is worth a report, in the order of `AdvisoryKind`; the arguments as `examine`'s.

    What `policy` refuses is a fault and not repeated here, unless the setting ignores the fault.
    Of a kind there may be several, one for each certificate that it is about. `examined` remembers
    what was found in chains before.
    """
    wanted = reference_names(policy.names, host=host, recipient_domain=recipient_domain)

    def find() -> Result[tuple[Advisory, ...]]:
        sent = [_readable(pem) for pem in evidence.chain]
        noted = [*_chain_advisories(sent, at)]
        if sent and (leaf := sent[0]) is not None:
            noted += [*_leaf_advisories(leaf), *_name_advisories(leaf, wanted, policy)]
        dated = any(a.kind is AdvisoryKind.CERTIFICATE_EXPIRES_SOON for a in noted)
        return Result(tuple(noted), tuple(_moments(sent)), dated)

    found = [*_session_advisories(evidence, policy)]
    if examined is None:
        found += find().found
    elif evidence.chain:
        key = ("advisories", evidence.chain, wanted, policy.names.common_name)
        remembered: tuple[Advisory, ...] = examined.recall(key, about=None, at=at, find=find)
        found += remembered
    return tuple(sorted(found, key=lambda advisory: ADVISORY_ORDER[advisory.kind]))


def _moments(sent: Sequence[x509.Certificate | None]) -> Iterator[datetime]:
    """Return when a certificate begins, nears its end, and ends."""
    for certificate in filter(None, sent):
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        yield from (begins, ends - _soon(begins, ends), ends)


def _soon(begins: datetime, ends: datetime) -> timedelta:
    return min(EXPIRES_SOON, (ends - begins) / EXPIRES_SOON_PART)


def _session_advisories(evidence: TlsEvidence, policy: TlsPolicy) -> Iterator[Advisory]:
    count = evidence.plaintext_after_go_ahead
    if count and not policy.verifies:
        yield Advisory(
            kind=AdvisoryKind.PLAINTEXT_BEHIND_GO_AHEAD, detail=f"{count} octets, discarded"
        )
    if evidence.starttls_offered_under_tls:
        yield Advisory(
            kind=AdvisoryKind.STARTTLS_OFFERED_UNDER_TLS,
            detail="the reply to EHLO under TLS has the keyword STARTTLS",
        )


def _readable(pem: str) -> x509.Certificate | None:
    """Return a certificate whose names and dates can be read, else None: `examine` says the rest.

    The library decodes a certificate part by part, when each is asked for.
    """
    certificate = read_certificate(pem)
    if certificate is None:
        return None
    try:
        may_be_self_signed(certificate)
        moment(certificate.not_valid_before_utc)
        moment(certificate.not_valid_after_utc)
    except ValueError:
        return None
    return certificate


def _chain_advisories(sent: Sequence[x509.Certificate | None], at: datetime) -> Iterator[Advisory]:
    for number, (before, certificate) in enumerate(pairwise(sent), start=2):
        if before is None or certificate is None:
            continue
        # RFC 5246 section 7.4.2: each certificate directly certifies the one before it.
        if not may_have_issued(certificate, before):
            yield Advisory(
                kind=AdvisoryKind.CHAIN_OUT_OF_ORDER,
                detail=f"certificate {number} of {len(sent)}, {name_text(certificate.subject)}, "
                "did not issue the one before it",
            )
            break
    for position, certificate in enumerate(sent):
        if certificate is None:
            continue
        # A root counts by being in the trust store, not by the copy that a host sends.
        if position == 0 or not may_be_self_signed(certificate):
            about = "" if position == 0 else f"{name_text(certificate.subject)}: "
            yield from _expiry_advisories(certificate, about, at)


def _expiry_advisories(
    certificate: x509.Certificate, about: str, at: datetime
) -> Iterator[Advisory]:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins <= at <= ends and ends - at < _soon(begins, ends):
        yield Advisory(
            kind=AdvisoryKind.CERTIFICATE_EXPIRES_SOON,
            detail=f"{about}ends {moment(ends)}, in {distance(ends - at)}",
        )


def _leaf_advisories(leaf: x509.Certificate) -> Iterator[Advisory]:
    features = extension(leaf, x509.TLSFeature)
    if features is not None and x509.TLSFeatureType.status_request in features:
        yield Advisory(
            kind=AdvisoryKind.MUST_STAPLE_NOT_CHECKED,
            detail="the certificate demands a stapled OCSP response, which is not asked for here",
        )
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca:
        yield Advisory(
            kind=AdvisoryKind.AUTHORITY_AS_HOST,
            detail=f"{name_text(leaf.subject)} is an authority (basic constraints)",
        )


def _name_advisories(
    leaf: x509.Certificate, wanted: tuple[ReferenceName, ...], policy: TlsPolicy
) -> Iterator[Advisory]:
    if policy.names.common_name is not CommonName.FALLBACK:
        return
    accepted = not any(name_faults(leaf, wanted, CommonName.FALLBACK))
    if accepted and any(name_faults(leaf, wanted, CommonName.IGNORE)):
        yield Advisory(
            kind=AdvisoryKind.NAME_IN_COMMON_NAME_ONLY,
            detail=f"the subject is {name_text(leaf.subject)}; there are no alternative names",
        )
