"""A session with a host: opened and observed under a policy, then judged.

    open ── connect ── greeting ── EHLO ── STARTTLS ── handshake ── EHLO      evidence, transcript
    admit ── examine, judge ── Admitted | NotAdmitted                        the verdict
    close ── QUIT

Opening gathers evidence and judges nothing. What goes wrong with TLS is evidence; what goes wrong
with anything else is the session's `failure`, a value too. A session has no way to send mail: that
is what `admit` hands out, and it is the only place that examines and judges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self, assert_never

from relay.core.addresses import Domain
from relay.core.advisories import Advisory
from relay.core.evidence import TlsEvidence
from relay.core.faults import TlsFault
from relay.core.outcomes import Failure, TlsRefusal
from relay.core.records import Session, SessionDirection
from relay.core.routing import Hop
from relay.core.tls_policy import TlsPolicy
from relay.core.transcripts import TranscriptLog
from relay.core.verdicts import Deliver, RetryInClear, Terminate, judge
from relay.outbound.opening import Opening, SessionOptions
from relay.outbound.transaction import Admitted
from relay.tls.advise import advise
from relay.tls.contexts import ClientContexts
from relay.tls.examine import examine
from relay.tls.trust import TrustStore

__all__ = ["Admitted", "NotAdmitted", "OutboundSession", "SessionOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitted:
    """The policy refused the session; nothing of a message goes to this host in it."""

    verdict: RetryInClear | Terminate
    failure: TlsRefusal


class OutboundSession:
    """One session with a hop; begun by `connect` (or made by `open`), ended by `close`.

    `failure` is why there is no usable session, where TLS is not the reason; such a session can't
    be judged.
    """

    def __init__(
        self, hop: Hop, *, options: SessionOptions, now: Callable[[], datetime], session_id: str
    ) -> None:
        self.id = session_id
        self.hop = hop
        self.failure: Failure | None = None
        self._now = now
        self._started_at = now()
        self._ended_at: datetime | None = None
        self._faults: tuple[TlsFault, ...] = ()
        self._advisories: tuple[Advisory, ...] = ()
        self._transcript = TranscriptLog(now)
        self._opening = Opening(hop, options=options, now=now, transcript=self._transcript)
        self._client = self._opening.client

    @property
    def evidence(self) -> TlsEvidence:
        """What was seen of the host's TLS."""
        return self._opening.evidence

    @classmethod
    async def open(
        cls,
        hop: Hop,
        policy: TlsPolicy,
        *,
        options: SessionOptions,
        contexts: ClientContexts,
        now: Callable[[], datetime],
        session_id: str,
    ) -> Self:
        """Make a session and `connect` it."""
        session = cls(hop, options=options, now=now, session_id=session_id)
        await session.connect(policy, contexts)
        return session

    async def connect(self, policy: TlsPolicy, contexts: ClientContexts) -> None:
        """Connect, greet, and start TLS where `policy` tries it and the host offers it.

        Never raises for what a network or a peer does. After a refused STARTTLS the session goes
        on in clear text; the verdict says whether it may be used. Where this is cancelled, the
        connection is cut and the record holds what was seen until then.
        """
        try:
            self.failure = await self._opening.run(policy, contexts)
        except BaseException:
            self._client.abort()
            raise

    async def admit(
        self, policy: TlsPolicy, *, recipient_domain: Domain, store: TrustStore
    ) -> Admitted | NotAdmitted:
        """Examine and judge this session for one message to `recipient_domain`.

        ValueError: the session has a failure, so there is nothing to judge.
        """
        if self.failure is not None:
            raise ValueError("a session with a failure can not be judged")
        faults = examine(
            self.evidence,
            policy,
            host=self.hop.host,
            recipient_domain=recipient_domain,
            # The time of the handshake, so that judging the record again gives the same answer.
            at=self.evidence.observed_at,
            store=store,
        )
        self._faults = faults
        self._advisories = advise(
            self.evidence,
            policy,
            host=self.hop.host,
            recipient_domain=recipient_domain,
            at=self.evidence.observed_at,
        )
        verdict = judge(policy, self.evidence, faults)
        match verdict:
            case Deliver(protection=protection):
                self._transcript.note(f"verdict: deliver, {protection.value}")
                return Admitted(self._client, verdict, recipient_domain, policy.setting)
            case RetryInClear(faults=reasons) | Terminate(faults=reasons):
                because = ", ".join(fault.kind.value for fault in reasons) or "no TLS"
                self._transcript.note(f"verdict: {verdict.kind} ({because})")
                failure = TlsRefusal.by(
                    policy.setting, reasons, peer_reply=self.evidence.starttls_reply
                )
                return NotAdmitted(verdict=verdict, failure=failure)
            case _:
                assert_never(verdict)

    async def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; takes two seconds at most."""
        if self._ended_at is not None:
            return
        try:
            if self._client.idle:
                await self._client.quit()
                await self._client.close()
            else:
                self._client.abort()
        except BaseException:
            self._client.abort()
            raise
        finally:
            self._ended_at = self._now()

    def record(self) -> Session:
        """Return the record of this session as it stands."""
        address = f"[{self.hop.address}]" if ":" in self.hop.address else self.hop.address
        return Session(
            id=self.id,
            direction=SessionDirection.OUTBOUND,
            peer=f"{address}:{self.hop.port}",
            hop=self.hop,
            started_at=self._started_at,
            ended_at=self._ended_at or self._now(),
            evidence=self.evidence if self._opening.connected else None,
            faults=self._faults,
            advisories=self._advisories,
            transcript=self._transcript.lines,
        )
