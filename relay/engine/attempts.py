"""One attempt: one session to one host, judged, and if admitted one transaction."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from relay.core.addresses import Domain
from relay.core.clock import Clock
from relay.core.delivery import Reuse
from relay.core.destinations import ToNowhere
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Delivered,
    Failure,
    LocalProblem,
    LocalRefusal,
    Outcome,
    PeerRefusal,
    Stage,
    TlsRefusal,
    outcome_of,
)
from relay.core.records import (
    Attempt,
    Envelope,
    MatchedRule,
    RecipientOutcome,
    Session,
    WouldBe,
)
from relay.core.replies import Reply
from relay.core.routing import Hop, RouteMatch
from relay.core.settings import Protection
from relay.core.steps import InClear, NoHost, Try, judged_under
from relay.core.tls_policy import PolicyMatch
from relay.core.verdicts import Terminate, Verdict
from relay.engine.in_force import PolicyInForce
from relay.engine.slots import Slots
from relay.outbound.pool import PoolKey, PoolLimits, SessionPool
from relay.outbound.session import NotAdmitted, OutboundSession, SessionOptions
from relay.outbound.transaction import Admitted
from relay.tls.rejudge import rejudge
from relay.tls.trust import TrustStore

log = logging.getLogger("relay.engine")

SESSIONS: Final = 50
"""Sessions at the same time."""
SESSIONS_PER_HOST: Final = 20
"""Sessions with one host at the same time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What to try: a message's content for some recipients of one domain, which has `hosts`."""

    envelope: Envelope
    content: bytes
    recipients: tuple[str, ...]
    domain: Domain
    match: PolicyMatch
    route: RouteMatch
    hosts: tuple[Hop, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """An attempt's records.

    `gone` is a session that was kept for this message, and that the host had closed meanwhile.
    """

    attempt: Attempt
    session: Session | None
    gone: Session | None = None

    @property
    def sessions(self) -> tuple[Session, ...]:
        """All sessions, the oldest first."""
        return tuple(session for session in (self.gone, self.session) if session is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tried:
    """How a message fared in one session."""

    session: Session
    verdict: Verdict | None
    tested: WouldBe | None
    outcomes: tuple[RecipientOutcome, ...]

    @property
    def came_too_late(self) -> bool:
        """Whether the host had ended the session before it heard of the message.

        421 in reply to MAIL says the same in words (RFC 5321 section 3.8).
        """
        return any(_at_mail(entry.outcome) for entry in self.outcomes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Use:
    """What a session is wanted for."""

    task: Task
    step: Try
    in_force: PolicyInForce
    key: PoolKey
    deadline: float | None

    @property
    def store(self) -> TrustStore:
        """The anchors that the policy trusts."""
        return self.in_force.stores.store(self.key.policy.trust)

    @property
    def may_share(self) -> bool:
        """Whether the policy lets messages share a session."""
        return self.in_force.policy.delivery.reuse is Reuse.ON


class Attempts:
    """Makes attempts; knows how this relay presents itself."""

    def __init__(
        self,
        *,
        hostname: str,
        allow_external: bool,
        clock: Clock,
        new_id: Callable[[], str],
        limits: PoolLimits | None = None,
    ) -> None:
        self._hostname = hostname
        self._allow_external = allow_external
        self._clock = clock
        self._new_id = new_id
        self._slots = Slots(in_all=SESSIONS, per_host=SESSIONS_PER_HOST)
        self._pool = SessionPool(limits)

    def retire(self) -> None:
        """Close the sessions that are kept for other messages; returns at once."""
        self._pool.retire()

    async def close(self) -> None:
        """Close the sessions that are kept for other messages, when none is being tried."""
        await self._pool.close()

    def without_host(self, task: Task, step: NoHost) -> Result:
        """Record that no host could be tried, or that there was to be none."""
        dropped = isinstance(task.route.to, ToNowhere)
        return self._result(
            task,
            step,
            session=None,
            verdict=None,
            outcomes=_dropped(task) if dropped else _all(task.recipients, step.failure),
            started_at=self._clock.now(),
        )

    async def make(
        self, task: Task, step: Try, in_force: PolicyInForce, *, deadline: float | None
    ) -> Result:
        """Try one host; never raises for what a network, a peer or a file does.

        `deadline` is a time of the event loop; what has no outcome by then is out of time.
        """
        async with contextlib.AsyncExitStack() as slot:
            started_at = self._clock.now()
            try:
                async with asyncio.timeout_at(deadline):
                    await slot.enter_async_context(self._slots.hold(step.hop))
            except TimeoutError:
                return self._result(
                    task,
                    step,
                    session=None,
                    verdict=None,
                    outcomes=_all(task.recipients, _late(step, in_force)),
                    started_at=started_at,
                )
            return await self._make(task, step, in_force, deadline)

    async def _make(
        self, task: Task, step: Try, in_force: PolicyInForce, deadline: float | None
    ) -> Result:
        started_at = self._clock.now()
        policy = judged_under(task.match.policy, step.in_clear)
        relay = task.route.email_relay
        key = PoolKey.of(
            step.hop,
            policy,
            in_force.contexts,
            recipient_domain=task.domain,
            credentials=relay.credentials if relay else None,
        )
        use = _Use(task=task, step=step, in_force=in_force, key=key, deadline=deadline)
        gone: Session | None = None
        tried: _Tried | None = None
        if (kept := self._kept(use)) is not None:
            kept.turn_to(self._new_id())
            tried = await self._try(kept, use)
            if tried.came_too_late:
                gone, tried = tried.session, None
        if tried is None:
            self._pool.make_room(
                step.hop, in_all=self._slots.left, per_host=self._slots.left_with(step.hop)
            )
            session = self._new_session(step.hop, in_force)
            if gone is not None:
                session.note(f"in place of session {gone.id}, which the host had ended")
            tried = await self._try(session, use)
        return self._result(
            task,
            step,
            session=tried.session,
            verdict=tried.verdict,
            outcomes=tried.outcomes,
            started_at=started_at,
            tested=tried.tested,
            gone=gone,
        )

    def _kept(self, use: _Use) -> OutboundSession | None:
        """Return a session that stands already, where the policy lets messages share one."""
        if not use.may_share:
            return None
        while (session := self._pool.take(use.key)) is not None:
            if not session.outlived(
                use.key.policy,
                recipient_domain=use.task.domain,
                store=use.store,
                examined=use.in_force.examined,
            ):
                return session
            self._pool.discard(session)
        return None

    def _new_session(self, hop: Hop, in_force: PolicyInForce) -> OutboundSession:
        delivery = in_force.policy.delivery
        return OutboundSession(
            hop,
            options=SessionOptions(
                local_hostname=self._hostname,
                connect_timeout=delivery.connect_timeout,
                command_timeout=delivery.command_timeout,
                allow_external=self._allow_external,
            ),
            now=self._clock.now,
            session_id=self._new_id(),
        )

    async def _try(self, session: OutboundSession, use: _Use) -> _Tried:
        """Try the message in this session, which is kept or closed behind it."""
        task, step, in_force, policy = use.task, use.step, use.in_force, use.key.policy
        verdict: Verdict | None = None
        tested: WouldBe | None = None
        outcomes: tuple[RecipientOutcome, ...]
        ready = False
        try:
            async with asyncio.timeout_at(use.deadline):
                if session.carried == 1:
                    await session.connect(policy, in_force.contexts)
                if session.failure is not None:
                    outcomes = _all(task.recipients, session.failure)
                else:
                    tested = _tested(task, step, session, in_force)
                    admission = await session.admit(
                        policy,
                        recipient_domain=task.domain,
                        store=use.store,
                        examined=in_force.examined,
                    )
                    verdict = admission.verdict
                    match admission:
                        case NotAdmitted():
                            outcomes = _all(task.recipients, admission.failure)
                        case Admitted():
                            outcomes = await admission.send(
                                task.envelope,
                                task.recipients,
                                task.content,
                                credentials=use.key.credentials,
                            )
                            ready = use.may_share
                        case _:
                            assert_never(admission)
        except TimeoutError:
            outcomes = _all(task.recipients, _late(step, in_force))
        except Exception:
            log.exception("message %s: an attempt at %s broke", task.envelope.id, step.hop)
            broken = LocalRefusal(
                problem=LocalProblem.INTERNAL, detail="an error in the relay itself, see its log"
            )
            outcomes = _all(task.recipients, broken)
        finally:
            ready = ready and await session.keep()
            if not ready:
                await session.close()
        tried = _Tried(session=session.record(), verdict=verdict, tested=tested, outcomes=outcomes)
        if ready:
            self._pool.put(use.key, session)
        return tried

    def _result(
        self,
        task: Task,
        step: Try | NoHost,
        *,
        session: Session | None,
        verdict: Verdict | None,
        outcomes: tuple[RecipientOutcome, ...],
        started_at: datetime,
        tested: WouldBe | None = None,
        gone: Session | None = None,
    ) -> Result:
        attempt = Attempt(
            id=self._new_id(),
            message_id=task.envelope.id,
            round=step.round,
            hop=step.hop if isinstance(step, Try) else None,
            clear=isinstance(step, Try) and step.in_clear is InClear.NOW,
            rule=MatchedRule.of(task.match),
            route=str(task.route.to),
            sent_by=task.route.reason if task.route.by_policy else "",
            session_id=session.id if session else None,
            verdict=verdict,
            outcomes=outcomes,
            started_at=started_at,
            ended_at=self._clock.now(),
            hosts=task.hosts,
            tested=tested,
        )
        return Result(attempt=attempt, session=session, gone=gone)


def _tested(
    task: Task, step: Try, session: OutboundSession, in_force: PolicyInForce
) -> WouldBe | None:
    """Judge the session under what is only tested, too; nothing follows from that."""
    if task.match.tested is None or step.in_clear is InClear.NOW:
        return None
    policy = judged_under(task.match.tested, step.in_clear)
    verdict = rejudge(
        session.evidence,
        policy,
        host=step.hop.host,
        recipient_domain=task.domain,
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


def _at_mail(outcome: Outcome) -> bool:
    if isinstance(outcome, Delivered):
        return False
    match outcome.failure:
        case ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.MAIL):
            return True
        case PeerRefusal(reply=Reply(code=421), stage=Stage.MAIL):
            return True
        case _:
            return False


def _late(step: Try, in_force: PolicyInForce) -> LocalRefusal:
    within = in_force.policy.delivery.reply_within
    return LocalRefusal(
        problem=LocalProblem.OUT_OF_TIME, detail=f"{step.hop} gave no outcome within {within}"
    )


def _dropped(task: Task) -> tuple[RecipientOutcome, ...]:
    """Read as sent, with a reply that says of itself that no host gave it."""
    outcome = Delivered(
        reply=Reply(code=250, text=f"2.0.0 [internal] {task.route.reason}"),
        protection=Protection.CLEAR,
        # Nobody is to be told that it was relayed anywhere.
        dsn=True,
    )
    return tuple(RecipientOutcome(recipient=r, outcome=outcome) for r in task.recipients)


def _all(recipients: Sequence[str], failure: Failure) -> tuple[RecipientOutcome, ...]:
    outcome = outcome_of(failure)
    return tuple(RecipientOutcome(recipient=r, outcome=outcome) for r in recipients)
