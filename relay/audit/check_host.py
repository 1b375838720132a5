"""One host, checked: the sessions that gather the evidence, and what is read out of it.

    first     verifies nothing: the whole handshake and the whole chain        evidence
    second    verifies as Required Verify does, where the first one stood     OpenSSL's own word
    others    one for each TLS version, and for each suite if asked             what is accepted

All of them end with QUIT. A session has no way to send mail before it is admitted, and nobody here
admits one.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum, unique
from typing import Final, assert_never

from relay.audit.check_nearest import nearest_scenarios
from relay.audit.check_stages import TimedStage, stages_of
from relay.audit.check_verdicts import SettingVerdict, Terms, verdicts
from relay.audit.check_versions import Ask, VersionResult, ask_versions, not_asked
from relay.audit.on_record import DomainRecord, HostRecord
from relay.core.addresses import Domain
from relay.core.advisories import Advisory
from relay.core.evidence import HandshakeDone, HandshakeFailed, HandshakeProblem, NotTried
from relay.core.fault_cards import card
from relay.core.faults import FaultClass, FaultKind, TlsFault
from relay.core.ids import IdMaker
from relay.core.records import Session
from relay.core.routing import Hop
from relay.core.settings import TlsSetting, TlsVersion
from relay.core.tls_policy import TlsPolicy
from relay.core.transcripts import Line
from relay.outbound.session import OutboundSession, SessionOptions
from relay.tls.advise import advise
from relay.tls.contexts import ClientContexts, NameCheck, verification
from relay.tls.probing_chain import ChainView, view_chain
from relay.tls.rejudge import rejudge
from relay.tls.trust import TrustStores

_STRICTEST: Final = TlsSetting.REQUIRED_VERIFY


@unique
class Agreement(Enum):
    """What OpenSSL's own verification, in a second session, says to our examination."""

    AGREES = "agrees"
    DIFFERS = "differs"
    OTHER_CERTIFICATE = "other-certificate"
    """The second session was shown another certificate: one name, several hosts."""
    NOT_ASKED = "not-asked"
    """There was no handshake to verify in."""
    NOT_REACHED = "not-reached"
    """The second session did not come to a handshake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """The second session: `said` is how its handshake ended, in OpenSSL's words."""

    agreement: Agreement
    said: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """Everything about one host.

    `reached` tells whether a connection came about: where not, nothing is known of the host itself.
    `verdicts` are those for mail that goes to this host alone. `faults` and `advisories` are what
    an examination under Required Verify finds, `chain` what the host sent.
    """

    hop: Hop
    preference: int
    reached: bool
    record: HostRecord
    stages: tuple[TimedStage, ...]
    transcript: tuple[Line, ...]
    confirmation: Confirmation
    versions: tuple[VersionResult, ...]
    chain: ChainView | None
    faults: tuple[TlsFault, ...]
    advisories: tuple[Advisory, ...]
    verdicts: tuple[SettingVerdict, ...]
    nearest: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostChecker:
    """Knows how to check a host; `versions` and `suites` tell what is asked for beyond TLS itself.

    `options` say who we are and how long we wait, `terms` what is judged by; `make_id` names the
    sessions.
    """

    terms: Terms
    options: SessionOptions
    stores: TrustStores
    now: Callable[[], datetime]
    versions: bool = True
    suites: bool = False
    make_id: Callable[[datetime], str] = field(default_factory=lambda: IdMaker(secrets.token_bytes))

    async def check(self, hop: Hop, *, preference: int, domain: Domain) -> HostCheck:
        """Check one host, one session after the other; never raises for what it does.

        Raises TrustError where a file that is trusted can't be used.
        """
        loose, strict = (self.terms.tls(s) for s in (TlsSetting.REQUIRED, _STRICTEST))
        contexts = ClientContexts(self.stores)
        first, record = await self._observe(hop, loose, contexts)
        faults, advisories, chain = self._examined(record, strict, domain)
        alone = DomainRecord(domain=domain, route=None, hosts=(hop,), seen=(record,))
        reached = first.evidence is not None
        return HostCheck(
            hop=hop,
            preference=preference,
            reached=reached,
            record=record,
            stages=stages_of(first),
            transcript=first.transcript,
            confirmation=await self._confirm(hop, record, strict, contexts, faults),
            versions=await self._versions(hop, record),
            chain=chain,
            faults=faults,
            advisories=advisories,
            verdicts=verdicts(
                alone if reached else replace(alone, seen=()), self.terms, self.stores
            ),
            nearest=(
                nearest_scenarios(faults, advisories, hop.mode) if record.failure is None else ()
            ),
        )

    async def _observe(
        self, hop: Hop, policy: TlsPolicy, contexts: ClientContexts
    ) -> tuple[Session, HostRecord]:
        session = OutboundSession(
            hop,
            options=self.options,
            now=self.now,
            session_id=self.make_id(self.now()),
        )
        try:
            await session.connect(policy, contexts)
        finally:
            await session.close()
        seen = session.record()
        broke = seen.evidence is not None and isinstance(seen.evidence.handshake, HandshakeDone)
        record = HostRecord(
            hop=hop,
            at=seen.ended_at,
            evidence=seen.evidence,
            failure=session.failure,
            broke_under_tls=session.failure is not None and broke,
        )
        return seen, record

    def _examined(
        self, record: HostRecord, strict: TlsPolicy, domain: Domain
    ) -> tuple[tuple[TlsFault, ...], tuple[Advisory, ...], ChainView | None]:
        evidence = record.evidence
        if evidence is None or (record.failure is not None and not evidence.chain):
            return (), (), None
        host = record.hop.host
        judged = rejudge(evidence, strict, host=host, recipient_domain=domain, stores=self.stores)
        at = evidence.observed_at
        noted = advise(evidence, strict, host=host, recipient_domain=domain, at=at)
        store = self.stores.store(strict.trust)
        chain = view_chain(evidence.chain, store=store, at=at) if evidence.chain else None
        return judged.faults, noted, chain

    async def _confirm(
        self,
        hop: Hop,
        record: HostRecord,
        strict: TlsPolicy,
        contexts: ClientContexts,
        faults: tuple[TlsFault, ...],
    ) -> Confirmation:
        if record.evidence is None or not isinstance(record.evidence.handshake, HandshakeDone):
            return Confirmation(agreement=Agreement.NOT_ASKED)
        _, second = await self._observe(hop, strict, contexts)
        if second.evidence is None:
            return Confirmation(agreement=Agreement.NOT_REACHED)
        match second.evidence.handshake:
            case HandshakeDone(version=version, cipher=cipher):
                accepts, said = True, f"accepted in {version} with {cipher}"
            case HandshakeFailed(problem=HandshakeProblem.CERTIFICATE_REFUSED, detail=detail):
                accepts, said = False, detail
            case HandshakeFailed(detail=detail):
                return Confirmation(agreement=Agreement.NOT_REACHED, said=detail)
            case NotTried():
                return Confirmation(agreement=Agreement.NOT_REACHED)
            case _:
                assert_never(second.evidence.handshake)
        if second.evidence.chain[:1] != record.evidence.chain[:1]:
            return Confirmation(agreement=Agreement.OTHER_CERTIFICATE, said=said)
        agrees = accepts is not _handshake_would_refuse(faults, strict)
        return Confirmation(agreement=Agreement.AGREES if agrees else Agreement.DIFFERS, said=said)

    async def _versions(self, hop: Hop, record: HostRecord) -> tuple[VersionResult, ...]:
        if not self.versions:
            return not_asked("not asked for")
        if record.evidence is None:
            return not_asked("the host was not reached")
        match record.evidence.handshake:
            case NotTried():
                return not_asked("the host came to no handshake")
            case HandshakeFailed(problem=HandshakeProblem.TIMEOUT):
                return not_asked("the first handshake did not end in time")
            case HandshakeFailed(problem=HandshakeProblem.NOT_TLS):
                return not_asked("what the host sends is not TLS")
            case _:
                return await ask_versions(self._asker(hop), suites=self.suites)

    def _asker(self, hop: Hop) -> Ask:
        async def ask(contexts: ClientContexts, version: TlsVersion) -> Session:
            policy = TlsPolicy.for_setting(TlsSetting.REQUIRED, minimum_tls=version)
            session, _ = await self._observe(hop, policy, contexts)
            return session

        return ask


def _handshake_would_refuse(faults: tuple[TlsFault, ...], strict: TlsPolicy) -> bool:
    """Whether a handshake that verifies is to be refused for these faults, if we are right."""
    about_chain = {
        fault.kind for fault in faults if card(fault).fault_class is FaultClass.CERTIFICATE
    }
    checks = verification(strict)
    if checks is not None and checks.names is NameCheck.AFTERWARDS:
        # OpenSSL compares one name, and was not asked to where several are allowed.
        about_chain -= {FaultKind.CERTIFICATE_NAME_MISMATCH}
    return bool(about_chain)
