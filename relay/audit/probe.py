"""Gathers evidence of hosts, without a message: connect, EHLO, STARTTLS, handshake, EHLO, QUIT.

A probe opens its session under a policy that verifies nothing, so that the whole handshake and the
whole chain are seen, and judges nothing. A session has no way to say MAIL before it is admitted,
and nobody here admits one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from relay.audit.on_record import DomainRecord, HostRecord
from relay.core.addresses import Domain
from relay.core.destinations import Destination, ToCapture, ToMailDomain
from relay.core.evidence import HandshakeDone
from relay.core.routing import ONE_TRY, Hop, RouteMatch, RouteOrigin, route
from relay.core.settings import TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy, TrustAnchors
from relay.lookup.resolver import Resolver
from relay.outbound.session import OutboundSession, SessionOptions
from relay.tls.contexts import ClientContexts

AT_ONCE: Final = 16
"""Domains that are probed at the same time."""
_NO_TRUST: Final = TrustAnchors(lab=False)
"""Nothing is verified, so no file has to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """A domain to gather evidence of.

    `route` is the destination as attempts name it; None where it is the domain's own mail
    exchangers, whatever a policy says of it.
    """

    domain: Domain
    to: Destination
    route: str | None

    @classmethod
    def by(cls, domain: Domain, chosen: RouteMatch) -> Probed:
        """Return what to probe for a domain whose mail goes where `chosen` says.

        No policy says that mail to a real domain is to be captured: that is what happens without a
        route. Of such a domain its own mail exchangers are meant.
        """
        if chosen.origin is RouteOrigin.CAPTURE and isinstance(chosen.to, ToCapture):
            return cls(domain=domain, to=ToMailDomain(domain=domain), route=None)
        return cls(domain=domain, to=chosen.to, route=str(chosen.to))


@dataclass(frozen=True, slots=True, kw_only=True)
class Prober:
    """Knows how to probe: whom to ask for hosts, which TLS versions to offer, who we say we are.

    `minimum_tls` is the lowest version that any policy to be asked about accepts.
    """

    resolver: Resolver
    minimum_tls: TlsVersion
    options: SessionOptions
    contexts: ClientContexts
    now: Callable[[], datetime]

    async def domain(self, asked: Probed) -> DomainRecord:
        """Probe every host of a domain, one after the other; never raises for what a host does."""
        answers = await self.resolver.resolve(asked.to)
        plan = route(asked.to, answers, ONE_TRY)
        seen = [await self.hop(hop) for hop in plan.hops]
        return DomainRecord(
            domain=asked.domain,
            route=asked.route,
            hosts=plan.hops,
            problem=None if plan.hops else plan.problem,
            seen=tuple(seen),
        )

    async def domains(
        self,
        asked: Sequence[Probed],
        *,
        progress: Callable[[DomainRecord], None] = lambda _: None,
        at_once: int = AT_ONCE,
    ) -> tuple[DomainRecord, ...]:
        """Probe many domains side by side; `progress` is told of each as it is ready."""
        slots = asyncio.Semaphore(at_once)

        async def one(each: Probed) -> DomainRecord:
            async with slots:
                record = await self.domain(each)
            progress(record)
            return record

        async with asyncio.TaskGroup() as tasks:
            probing = [tasks.create_task(one(each)) for each in asked]
        return tuple(task.result() for task in probing)

    async def hop(self, hop: Hop) -> HostRecord:
        """Probe one host; see `probe_hop`."""
        return await probe_hop(
            hop,
            minimum_tls=self.minimum_tls,
            options=self.options,
            contexts=self.contexts,
            now=self.now,
        )


async def probe_hop(
    hop: Hop,
    *,
    minimum_tls: TlsVersion,
    options: SessionOptions,
    contexts: ClientContexts,
    now: Callable[[], datetime],
) -> HostRecord:
    """Open one session with a host, end it with QUIT, and return what it showed.

    Never raises for what a network or a host does: that is the record's `failure`. A host off this
    machine and its private networks is refused unless `options` allow it.
    """
    session = OutboundSession(hop, options=options, now=now, session_id="probe")
    try:
        await session.connect(probing_policy(minimum_tls), contexts)
    finally:
        await session.close()
    evidence = session.record().evidence
    broke = evidence is not None and isinstance(evidence.handshake, HandshakeDone)
    return HostRecord(
        hop=hop,
        at=now(),
        evidence=evidence,
        failure=session.failure,
        broke_under_tls=session.failure is not None and broke,
    )


def probing_policy(minimum_tls: TlsVersion) -> TlsPolicy:
    """Return the policy that a probe is opened under: it tries TLS and accepts any certificate."""
    preferred = TlsPolicy.for_setting(TlsSetting.PREFERRED, minimum_tls=minimum_tls)
    return replace(preferred, trust=_NO_TRUST)
