"""What is on record of each domain that mail went to, and what the five settings make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from relay.audit.check_verdicts import SettingVerdict, Terms, verdicts
from relay.audit.on_record import DomainRecord, Gathering, newest
from relay.core.addresses import Domain
from relay.journal.browsing import DomainCount
from relay.tls.trust import TrustStores
from relay.web.served import ServedRelay

MESSAGES: Final = 50
"""A domain's newest messages, whose attempts are looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainEvidence:
    """One domain: `record` has each host's newest evidence, None where nothing was tried yet.

    `settings` tells what each of the five settings would make of mail to it, on that evidence and
    the terms of the policy in force: its trust, names, lowest TLS version and codes.
    """

    domain: Domain
    record: DomainRecord | None
    settings: tuple[SettingVerdict, ...]


def evidence_of(served: ServedRelay, domain: Domain) -> DomainEvidence:
    """Gather it; raise TrustError where a file that the policy trusts can't be used."""
    gathering = Gathering()
    for attempt in served.journal.attempts_to(domain, messages=MESSAGES):
        gathering.add(attempt)
    routes = [record for record in gathering.records(served.session_of) if record.domain == domain]
    if not routes:
        return DomainEvidence(domain=domain, record=None, settings=())
    found = max(routes, key=newest)
    return DomainEvidence(domain=domain, record=found, settings=settings_of(served, found))


def settings_of(served: ServedRelay, found: DomainRecord) -> tuple[SettingVerdict, ...]:
    """Tell what each setting makes of a record, on the terms of the policy in force.

    Raises TrustError where a file that the policy trusts can't be used.
    """
    policy = served.relay.policy
    tls = policy.way(found.domain, sender=None).tls.policy
    terms = Terms(trust=tls.trust, names=tls.names, minimum_tls=tls.minimum_tls, book=policy.codes)
    # The settings are asked about the host itself, whatever way the policy has to it.
    return verdicts(replace(found, route=None), terms, trust_stores(served))


def grid(served: ServedRelay, limit: int, offset: int) -> list[tuple[DomainCount, DomainEvidence]]:
    """Return a page of domains with their evidence, the one that mail went to last first."""
    return [
        (counted, evidence_of(served, counted.domain))
        for counted in served.journal.domains(limit, offset=offset)
    ]


def trust_stores(served: ServedRelay) -> TrustStores:
    """Return stores that read the lab's authority anew."""
    authority = served.relay.lab.authority
    return TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
