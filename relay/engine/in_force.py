"""A policy in force: the policy itself and the trust that was loaded with it.

Whoever handles a message takes one of these once and keeps it to the end, so that a policy loaded
meanwhile changes nothing for that message. The files that a policy names are read when it is put in
force; hence a reload reads them anew.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from relay.core.delivery import Policy
from relay.engine.ways import Ways
from relay.lab.authority import AuthorityError, LabAuthority
from relay.tls.contexts import ClientContexts
from relay.tls.examined import ExaminedChains
from relay.tls.trust import TrustError, TrustStores


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyInForce:
    """A policy with its TLS contexts and trust anchors, and what was worked out under them."""

    policy: Policy
    contexts: ClientContexts
    stores: TrustStores
    ways: Ways
    examined: ExaminedChains = field(default_factory=ExaminedChains)

    @classmethod
    def load(cls, policy: Policy, authority: LabAuthority) -> Self:
        """Read every file that `policy` names; raise TrustError for one that can't be used."""
        stores = TrustStores(
            lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
        )
        contexts = ClientContexts(stores)
        relays = policy.routing.email_relays.relays.values()
        settings = (*(r.policy for r in policy.tls.rules.values()), *(r.tls for r in relays))
        if any(tls.trust.crl_files for tls in settings):
            # It may be the lab's own.
            try:
                authority.renew_revocation_list()
            except AuthorityError as error:
                raise TrustError(str(error)) from error
        for tls in settings:
            contexts.context(tls)
        return cls(policy=policy, contexts=contexts, stores=stores, ways=Ways(policy))
