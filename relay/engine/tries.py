"""A message in one session: a kept one or a new one, judged, and if admitted one transaction."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import assert_never

from relay.core.addresses import Domain
from relay.core.clock import Clock
from relay.core.outcomes import (
    LocalProblem,
    LocalRefusal,
    TlsRefusal,
)
from relay.core.records import RecipientOutcome, Session, WouldBe
from relay.core.routing import Hop
from relay.core.steps import InClear, Try, judged_under
from relay.core.tls_policy import TlsPolicy
from relay.core.verdicts import Terminate, Verdict
from relay.engine.in_force import PolicyInForce
from relay.engine.tasks import Tried, Use, for_all, late
from relay.outbound.pool import SessionPool
from relay.outbound.session import NotAdmitted, OutboundSession, SessionOptions
from relay.outbound.transaction import Admitted
from relay.tls.rejudge import rejudge

log = logging.getLogger("relay.engine")


class Tries:
    """Makes sessions and keeps them; knows how this relay presents itself."""

    def __init__(
        self,
        *,
        hostname: str,
        allow_external: bool,
        clock: Clock,
        new_id: Callable[[], str],
    ) -> None:
        self._hostname = hostname
        self._allow_external = allow_external
        self._clock = clock
        self._new_id = new_id
        self._pool = SessionPool()

    def retire(self) -> None:
        """Close the sessions that are kept for other messages; returns at once."""
        self._pool.retire()

    async def close(self) -> None:
        """Close the sessions that are kept for other messages, when none is being tried."""
        await self._pool.close()

    def make_room(self, hop: Hop, *, in_all: int, per_host: int) -> None:
        """Close idle sessions until so many are left, in all and with this host."""
        self._pool.make_room(hop, in_all=in_all, per_host=per_host)

    def kept(self, use: Use) -> OutboundSession | None:
        """Return a session that stands already, where the policy lets messages share one."""
        if not use.may_share:
            return None
        while (session := self._pool.take(use.terms.key)) is not None:
            if not session.outlived(
                use.terms.key.policy,
                recipient_domain=use.task.planned.domain,
                store=use.terms.store,
                examined=use.in_force.examined,
            ):
                session.turn_to(self._new_id())
                return session
            self._pool.discard(session)
        return None

    def new(self, use: Use, *, in_place_of: Session | None) -> OutboundSession:
        """Return a session for this message, which is not opened yet."""
        delivery = use.in_force.policy.delivery
        session = OutboundSession(
            use.step.hop,
            options=SessionOptions(
                local_hostname=self._hostname,
                connect_timeout=delivery.connect_timeout,
                command_timeout=delivery.command_timeout,
                allow_external=self._allow_external,
            ),
            now=self._clock.now,
            session_id=self._new_id(),
        )
        if in_place_of is not None:
            session.note(f"in place of session {in_place_of.id}, which the host had ended")
        return session

    async def in_session(self, session: OutboundSession, use: Use) -> Tried:
        """Try the message in this session, which is kept or closed behind it."""
        task, step, in_force = use.task, use.step, use.in_force
        (key, store), domain = use.terms, use.task.planned.domain
        verdict: Verdict | None = None
        tested: WouldBe | None = None
        outcomes: tuple[RecipientOutcome, ...]
        ready = False
        try:
            if session.carried == 1:
                await _connect(session, use)
            if session.failure is not None:
                outcomes = for_all(task.recipients, session.failure)
            else:
                session.end_by(use.deadline)
                if task.planned.tested is not None:
                    tested = _tested(task.planned.tested, step, session, domain, in_force)
                admission = await session.admit(
                    key.policy, recipient_domain=domain, store=store, examined=in_force.examined
                )
                verdict = admission.verdict
                match admission:
                    case NotAdmitted():
                        outcomes = for_all(task.recipients, admission.failure)
                    case Admitted():
                        outcomes = await admission.send(
                            task.envelope,
                            task.recipients,
                            task.content,
                            credentials=key.credentials,
                            facts=task.facts,
                        )
                        ready = use.may_share
                    case _:
                        assert_never(admission)
        except TimeoutError:
            outcomes = for_all(task.recipients, late(step, in_force))
        except Exception:
            log.exception("message %s: an attempt at %s broke", task.envelope.id, step.hop)
            broken = LocalRefusal(
                problem=LocalProblem.INTERNAL, detail="an error in the relay itself, see its log"
            )
            outcomes = for_all(task.recipients, broken)
        finally:
            ready = ready and await session.keep()
            if not ready:
                await session.close()
        tried = Tried(session=session.record(), verdict=verdict, tested=tested, outcomes=outcomes)
        if ready:
            self._pool.put(key, session)
        return tried


async def _connect(session: OutboundSession, use: Use) -> None:
    """Open the session, within the deadline; raises TimeoutError."""
    async with asyncio.timeout_at(use.deadline):
        await session.connect(use.terms.key.policy, use.in_force.contexts)


def _tested(
    tested: TlsPolicy, step: Try, session: OutboundSession, domain: Domain, in_force: PolicyInForce
) -> WouldBe | None:
    """Judge the session under what is only tested, too; nothing follows from that."""
    if step.in_clear is InClear.NOW:
        return None
    policy = judged_under(tested, step.in_clear)
    verdict = rejudge(
        session.evidence,
        policy,
        host=step.hop.host,
        recipient_domain=domain,
        stores=in_force.stores,
        examined=in_force.examined,
    ).verdict
    if not isinstance(verdict, Terminate):
        return WouldBe(setting=policy.setting, verdict=verdict)
    refusal = TlsRefusal.by(
        policy.setting, verdict.faults, peer_reply=session.evidence.starttls_reply
    )
    entry = in_force.policy.codes.entry(refusal)
    return WouldBe(setting=policy.setting, verdict=verdict, code=entry.status, text=entry.text)
