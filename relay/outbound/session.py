"""A session with a host: opened and observed under a policy, then judged.

    open ── connect ── greeting ── EHLO ── STARTTLS ── handshake ── EHLO      evidence, transcript
    admit ── examine, judge ── Admitted | NotAdmitted                        the verdict
    keep ── RSET where needed        turn_to ── another message: admit again, a record of its own
    close ── QUIT

Opening gathers evidence and judges nothing. What goes wrong with TLS is evidence; what goes wrong
with anything else is the session's `failure`, a value too. A session has no way to send mail: that
is what `admit` hands out, and it is the only place that examines and judges.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Self, assert_never

from relay.core.addresses import Domain
from relay.core.advisories import Advisory
from relay.core.evidence import HandshakeDone, TlsEvidence
from relay.core.faults import TlsFault
from relay.core.outcomes import Failure, TlsRefusal
from relay.core.records import Session, SessionDirection
from relay.core.routing import Hop
from relay.core.tls_policy import TlsPolicy
from relay.core.transcripts import TranscriptLog
from relay.core.verdicts import Deliver, RetryInClear, Terminate
from relay.outbound.exchange import CLOSE_TIMEOUT, Exchange
from relay.outbound.judgement import Judge
from relay.outbound.opening import Opening, SessionOptions
from relay.outbound.transaction import Admitted
from relay.tls.contexts import ClientContexts
from relay.tls.examined import ExaminedChains
from relay.tls.trust_store import TrustStore

__all__ = ["Admitted", "NotAdmitted", "OutboundSession", "SessionOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAdmitted:
    """The policy refused the session; nothing of a message goes to this host in it."""

    verdict: RetryInClear | Terminate
    failure: TlsRefusal


class OutboundSession:
    """One session with a hop; begun by `connect` (or made by `open`), ended by `close`.

    A session that is kept for another message has a record for each: the first tells of the
    opening, and those behind it of their own message alone, so that none grows with the number of
    messages and each is durable with its attempt. `carried` counts the messages; `opened_at` is a
    time of the event loop.

    `failure` is why there is no usable session, where TLS is not the reason; such a session can't
    be judged.
    """

    def __init__(
        self, hop: Hop, *, options: SessionOptions, now: Callable[[], datetime], session_id: str
    ) -> None:
        self.id = session_id
        self.hop = hop
        self.failure: Failure | None = None
        self.carried = 1
        self.opened_at = asyncio.get_running_loop().time()
        self._first_id: str | None = None
        self._now = now
        self._started_at = now()
        self._ended_at: datetime | None = None
        self._faults: tuple[TlsFault, ...] = ()
        self._advisories: tuple[Advisory, ...] = ()
        self._transcript = TranscriptLog(now)
        self._opening = Opening(hop, options=options, now=now, transcript=self._transcript)
        self._exchange: Exchange | None = None
        self._admitted: Admitted | None = None
        self._judge = Judge(hop.host)
        self._origin = ""

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
            self._opening.client.abort()
            raise
        if self.failure is None:
            self._exchange = self._opening.client.take_over()

    async def admit(
        self,
        policy: TlsPolicy,
        *,
        recipient_domain: Domain,
        store: TrustStore,
        examined: ExaminedChains | None = None,
    ) -> Admitted | NotAdmitted:
        """Examine and judge this session for one message to `recipient_domain`.

        `examined` has chains that were examined before. ValueError: the session has a failure, so
        there is nothing to judge.
        """
        if self._exchange is None:
            raise ValueError("a session with a failure can not be judged")
        judgement = self._judge.judge(
            self.evidence,
            policy,
            recipient_domain=recipient_domain,
            store=store,
            examined=examined,
        )
        self._faults, self._advisories = judgement.faults, judgement.advisories
        verdict = judgement.verdict
        match verdict:
            case Deliver(protection=protection):
                self._transcript.note(f"verdict: deliver, {protection.value}")
                self._admitted = Admitted(self._exchange, verdict, recipient_domain, policy.setting)
                return self._admitted
            case RetryInClear(faults=reasons) | Terminate(faults=reasons):
                because = ", ".join(fault.kind.value for fault in reasons) or "no TLS"
                self._transcript.note(f"verdict: {verdict.kind} ({because})")
                failure = TlsRefusal.by(
                    policy.setting, reasons, peer_reply=self.evidence.starttls_reply
                )
                return NotAdmitted(verdict=verdict, failure=failure)
            case _:
                assert_never(verdict)

    def note(self, text: str) -> None:
        """Add a remark to the transcript."""
        self._transcript.note(text)

    def outlived(
        self,
        policy: TlsPolicy,
        *,
        recipient_domain: Domain,
        store: TrustStore,
        examined: ExaminedChains,
    ) -> bool:
        """Whether there are other faults now than when the last message was admitted."""
        return self._judge.outlived(
            self.evidence,
            policy,
            recipient_domain=recipient_domain,
            store=store,
            examined=examined,
            now=self._now(),
        )

    async def keep(self) -> bool:
        """Make ready for another message; return whether the session can be trusted with one.

        It can't after anything that was left without its answer, or that the host said unasked.
        """
        if self._exchange is None or self._admitted is None or self._ended_at is not None:
            return False
        if self._admitted.unfinished:
            self._exchange.end_by(None)
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._admitted.reset()
            except TimeoutError:
                return False
        return self.usable

    @property
    def usable(self) -> bool:
        """Whether the host still listens, and has said nothing that it was not asked."""
        return self._exchange is not None and self._exchange.trusted

    def end_by(self, until: float | None) -> None:
        """Let the message that is admitted next get TimeoutError at `until`; None for never.

        It is a time of the event loop. What opens and ends a session has bounds of its own.
        """
        if self._exchange is not None:
            self._exchange.end_by(until)

    def turn_to(self, session_id: str) -> None:
        """Begin the record of another message, which has to be admitted anew."""
        assert self._exchange is not None
        self._first_id = self._first_id or self.id
        self.id = session_id
        self.carried += 1
        self._started_at = self._now()
        self._faults, self._advisories, self._admitted = (), (), None
        self._transcript = TranscriptLog(self._now)
        self._exchange.turn_to(self._transcript)
        self._origin = self._origin or self._describe_origin()
        self._transcript.note(f"message {self.carried} {self._origin}")

    def _describe_origin(self) -> str:
        opened = self.evidence.observed_at.isoformat(sep=" ", timespec="seconds")
        tls = self.evidence.handshake
        protected = f"{tls.version}, {tls.cipher}" if isinstance(tls, HandshakeDone) else "no TLS"
        return (
            f"in the connection of session {self._first_id} to {self.hop}, "
            f"opened {opened}: {protected}"
        )

    async def close(self) -> None:
        """Say QUIT where that is possible, and close the connection; takes three seconds at most.

        What a host still owes is read before.
        """
        if self._ended_at is not None:
            return
        exchange = self._exchange
        try:
            if exchange is None:
                await self._opening.client.farewell()
            else:
                await self._take_leave(exchange)
        except BaseException:
            self._opening.client.abort()
            raise
        finally:
            self._ended_at = self._now()

    def abort(self) -> None:
        """Cut the connection at once; whoever waits on it learns that it is lost."""
        if self._exchange is not None:
            self._exchange.abort()
        else:
            self._opening.client.abort()

    async def _take_leave(self, exchange: Exchange) -> None:
        exchange.end_by(None)
        if self._admitted is not None and self._admitted.unfinished:
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT):
                    await self._admitted.unwind()
            except TimeoutError:
                pass
        if exchange.idle:
            await exchange.quit()
            await exchange.close()
        else:
            exchange.abort()

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
            continues=self._first_id,
        )
