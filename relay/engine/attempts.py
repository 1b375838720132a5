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
from relay.core.destinations import ToNowhere
from relay.core.outcomes import (
    Delivered,
    Failure,
    LocalProblem,
    LocalRefusal,
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
from relay.outbound.session import NotAdmitted, OutboundSession, SessionOptions
from relay.outbound.transaction import Admitted
from relay.tls.rejudge import rejudge

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
    """An attempt's records."""

    attempt: Attempt
    session: Session | None


class Attempts:
    """Makes attempts; knows how this relay presents itself."""

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
        self._slots = Slots(in_all=SESSIONS, per_host=SESSIONS_PER_HOST)

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
        delivery = in_force.policy.delivery
        started_at = self._clock.now()
        session = OutboundSession(
            step.hop,
            options=SessionOptions(
                local_hostname=self._hostname,
                connect_timeout=delivery.connect_timeout,
                command_timeout=delivery.command_timeout,
                allow_external=self._allow_external,
            ),
            now=self._clock.now,
            session_id=self._new_id(),
        )
        relay = task.route.email_relay
        verdict: Verdict | None = None
        tested: WouldBe | None = None
        outcomes: tuple[RecipientOutcome, ...]
        policy = judged_under(task.match.policy, step.in_clear)
        try:
            async with asyncio.timeout_at(deadline):
                await session.connect(policy, in_force.contexts)
                if session.failure is not None:
                    outcomes = _all(task.recipients, session.failure)
                else:
                    tested = _tested(task, step, session, in_force)
                    admission = await session.admit(
                        policy,
                        recipient_domain=task.domain,
                        store=in_force.stores.store(policy.trust),
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
                                credentials=relay.credentials if relay else None,
                            )
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
            await session.close()
        return self._result(
            task,
            step,
            session=session.record(),
            verdict=verdict,
            outcomes=outcomes,
            started_at=started_at,
            tested=tested,
        )

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
        return Result(attempt=attempt, session=session)


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
    ).verdict
    if not isinstance(verdict, Terminate):
        return WouldBe(setting=policy.setting, verdict=verdict)
    refusal = TlsRefusal.by(
        policy.setting, verdict.faults, peer_reply=session.evidence.starttls_reply
    )
    entry = in_force.policy.codes.entry(refusal)
    return WouldBe(setting=policy.setting, verdict=verdict, code=entry.status, text=entry.text)


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
