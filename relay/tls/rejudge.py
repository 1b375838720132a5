"""Asks `examine` and `judge` about recorded evidence, as far as the evidence goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from relay.core.addresses import Domain
from relay.core.evidence import HandshakeDone, HandshakeFailed, TlsEvidence
from relay.core.faults import TlsFault
from relay.core.rejudging import NotObserved, unseen_in
from relay.core.settings import TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Verdict, judge
from relay.tls.examine import examine
from relay.tls.examined import ExaminedChains
from relay.tls.trust import TrustStores


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejudged:
    """A verdict on recorded evidence, or what it lacks; `faults` are those under the policy."""

    verdict: Verdict | NotObserved
    faults: tuple[TlsFault, ...]


def rejudge(
    evidence: TlsEvidence,
    policy: TlsPolicy,
    *,
    host: str,
    recipient_domain: Domain,
    stores: TrustStores,
    examined: ExaminedChains | None = None,
    at: datetime | None = None,
) -> Rejudged:
    """Judge `evidence` of a session with `host` as if it had been opened under `policy`.

    Certificates are judged as of the time of the session, or `at`. Raises TrustError where a file
    that the policy trusts can't be used. `examined` remembers what was found in chains before.
    """

    def faults_in(seen: TlsEvidence) -> tuple[TlsFault, ...]:
        return examine(
            seen,
            policy,
            host=host,
            recipient_domain=recipient_domain,
            at=at or evidence.observed_at,
            store=stores.store(policy.trust),
            examined=examined,
        )

    chain_faults = faults_in(_completed(evidence)) if evidence.chain else ()
    what = unseen_in(evidence, policy, chain_faults)
    faults = faults_in(evidence)
    if what is not None:
        return Rejudged(verdict=NotObserved(what=what), faults=faults)
    return Rejudged(verdict=judge(policy, evidence, faults), faults=faults)


def _completed(evidence: TlsEvidence) -> TlsEvidence:
    """Return the evidence as if its handshake had been completed: what is left is the chain's."""
    if not isinstance(evidence.handshake, HandshakeFailed):
        return evidence
    done = HandshakeDone(version=TlsVersion.TLS1_3.label, cipher="")
    return replace(evidence, handshake=done)
