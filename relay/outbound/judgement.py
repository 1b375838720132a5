"""What a session's evidence comes to under a policy: faults, advisories, and the verdict.

Called by `OutboundSession.admit` alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from relay.core.addresses import Domain
from relay.core.advisories import Advisory
from relay.core.evidence import TlsEvidence
from relay.core.faults import TlsFault
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Verdict, judge
from relay.tls.advise import advise
from relay.tls.examine import examine
from relay.tls.examined import ExaminedChains
from relay.tls.trust_store import TrustStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What came of the evidence, and for whom: `name` is the recipient's domain where it counts."""

    policy: TlsPolicy
    name: Domain | None
    store: TrustStore
    faults: tuple[TlsFault, ...]
    advisories: tuple[Advisory, ...]
    verdict: Verdict

    @classmethod
    def of(
        cls,
        evidence: TlsEvidence,
        policy: TlsPolicy,
        *,
        host: str,
        recipient_domain: Domain,
        store: TrustStore,
        examined: ExaminedChains | None,
    ) -> Judgement:
        """Examine and judge; the arguments are those of `examine`."""
        # The time of the handshake, so that judging the record again gives the same answer.
        at = evidence.observed_at
        faults = examine(
            evidence,
            policy,
            host=host,
            recipient_domain=recipient_domain,
            at=at,
            store=store,
            examined=examined,
        )
        advisories = advise(
            evidence,
            policy,
            host=host,
            recipient_domain=recipient_domain,
            at=at,
            examined=examined,
        )
        return cls(
            policy=policy,
            name=_name_that_counts(policy, recipient_domain),
            store=store,
            faults=faults,
            advisories=advisories,
            verdict=judge(policy, evidence, faults),
        )

    def answers(self, policy: TlsPolicy, recipient_domain: Domain, store: TrustStore) -> bool:
        """Whether the same evidence would come to the same for another message."""
        name = _name_that_counts(policy, recipient_domain)
        same = self.policy is policy or self.policy == policy
        return same and self.store is store and self.name == name


def _name_that_counts(policy: TlsPolicy, recipient_domain: Domain) -> Domain | None:
    """Return the recipient's domain where the certificate may bear it."""
    return recipient_domain if policy.names.recipient_domain else None
