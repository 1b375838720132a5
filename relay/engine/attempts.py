"""One attempt: a message, one host, and what is written down of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relay.core.clock import Clock
from relay.core.destinations import ToNowhere
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, RecipientOutcome, Session, WouldBe
from relay.core.replies import Reply
from relay.core.settings import Protection
from relay.core.steps import InClear, NoHost, Try
from relay.core.verdicts import Verdict
from relay.engine.in_force import PolicyInForce
from relay.engine.later_tries import LaterTries
from relay.engine.slots import Slots
from relay.engine.tasks import Task, Tried, Use, for_all, late

SESSIONS: Final = 50
"""Sessions at the same time."""
SESSIONS_PER_HOST: Final = 20
"""Sessions with one host at the same time."""


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
        if self.session is None:
            return ()
        return (self.session,) if self.gone is None else (self.gone, self.session)


class Attempts:
    """Makes attempts, no more at a time than there may be."""

    def __init__(self, *, tries: LaterTries, clock: Clock, new_id: Callable[[], str]) -> None:
        self._tries = tries
        self._clock = clock
        self._new_id = new_id
        self._slots = Slots(in_all=SESSIONS, per_host=SESSIONS_PER_HOST)

    def without_host(self, task: Task, step: NoHost) -> Result:
        """Record that no host could be tried, or that there was to be none."""
        dropped = isinstance(task.planned.way.route.to, ToNowhere)
        return self._result(
            task,
            step,
            session=None,
            verdict=None,
            outcomes=_dropped(task) if dropped else for_all(task.recipients, step.failure),
            started_at=self._clock.now(),
        )

    async def make(
        self, task: Task, step: Try, in_force: PolicyInForce, *, deadline: float | None
    ) -> Result:
        """Try one host; never raises for what a network, a peer or a file does.

        `deadline` is a time of the event loop; what has no outcome by then is out of time.
        """
        tries = self._tries.made or await self._tries.make()
        started_at = self._clock.now()
        if not self._slots.take(step.hop):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._slots.wait(step.hop)
            except TimeoutError:
                return self._result(
                    task,
                    step,
                    session=None,
                    verdict=None,
                    outcomes=for_all(task.recipients, late(step, in_force)),
                    started_at=started_at,
                )
            started_at = self._clock.now()
        gone: Session | None = None
        tried: Tried | None = None
        try:
            use = Use.of(task, step, in_force, deadline=deadline)
            kept = tries.kept(use)
            if kept is not None:
                tried = await tries.in_session(kept, use)
                if tried.came_too_late:
                    gone, tried = tried.session, None
            if tried is None:
                tries.make_room(
                    step.hop, in_all=self._slots.left, per_host=self._slots.left_with(step.hop)
                )
                tried = await tries.in_session(tries.new(use, in_place_of=gone), use)
        finally:
            self._slots.give_back(step.hop)
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
            rule=task.planned.rule,
            route=task.planned.to,
            sent_by=task.planned.sent_by,
            session_id=session.id if session else None,
            verdict=verdict,
            outcomes=outcomes,
            started_at=started_at,
            ended_at=self._clock.now(),
            hosts=task.hosts,
            tested=tested,
        )
        return Result(attempt=attempt, session=session, gone=gone)


def _dropped(task: Task) -> tuple[RecipientOutcome, ...]:
    """Read as sent, with a reply that says of itself that no host gave it."""
    outcome = Delivered(
        reply=Reply(code=250, text=f"2.0.0 [internal] {task.planned.way.route.reason}"),
        protection=Protection.CLEAR,
        # Nobody is to be told that it was relayed anywhere.
        dsn=True,
    )
    return tuple(RecipientOutcome(recipient=r, outcome=outcome) for r in task.recipients)
