"""What a session's evidence comes to under a policy: faults, advisories, and the verdict.

A session has one `Judge`, and nobody else examines and judges what it saw.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

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


class Judge:
    """Judges one session with `host` for message after message, and asks nothing twice."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._last: Judgement | None = None
        self._looked_at = -1

    def judge(
        self,
        evidence: TlsEvidence,
        policy: TlsPolicy,
        *,
        recipient_domain: Domain,
        store: TrustStore,
        examined: ExaminedChains | None,
    ) -> Judgement:
        """Return what was judged for the last message where this one asks nothing else."""
        last = self._last
        if last is None or not last.answers(policy, recipient_domain, store):
            last = self._last = Judgement.of(
                evidence,
                policy,
                host=self._host,
                recipient_domain=recipient_domain,
                store=store,
                examined=examined,
            )
        return last

    def outlived(
        self,
        evidence: TlsEvidence,
        policy: TlsPolicy,
        *,
        recipient_domain: Domain,
        store: TrustStore,
        examined: ExaminedChains,
        now: datetime,
    ) -> bool:
        """Whether there are other faults now than when the last message was judged.

        Something has expired meanwhile. A new session would show that; this one is not to hide it.
        """
        # Certificates begin and end at whole seconds, so there is something new once in a second.
        if self._looked_at == (second := int(now.timestamp())):
            return False
        faults = examine(
            evidence,
            policy,
            host=self._host,
            recipient_domain=recipient_domain,
            at=now,
            store=store,
            examined=examined,
        )
        known = () if self._last is None else self._last.faults
        if [fault.kind for fault in faults] != [fault.kind for fault in known]:
            return True
        self._looked_at = second
        return False


def _name_that_counts(policy: TlsPolicy, recipient_domain: Domain) -> Domain | None:
    """Return the recipient's domain where the certificate may bear it."""
    return recipient_domain if policy.names.recipient_domain else None
