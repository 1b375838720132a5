"""Takes a message's recipients as far as they go now: the loop around `next_step`.

One domain's recipients go together, different domains side by side. Every attempt is durable before
anything more is tried, so that a restart reads the history back and goes on from there. The last of
them becomes durable together with what follows from it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import assert_never

from relay.core.addresses import Domain, domain_of, parse_address
from relay.core.clock import Clock
from relay.core.delivery import Policy
from relay.core.destinations import Destination
from relay.core.outcomes import Failure, LocalProblem, LocalRefusal
from relay.core.records import Session
from relay.core.routing import HostAddress, Plan, RetrySchedule
from relay.core.steps import Done, GiveUp, NoHost, Step, Try, Wait, hurried, next_step
from relay.engine.attempts import Attempts, Result
from relay.engine.flags import Flags
from relay.engine.in_force import PolicyInForce
from relay.engine.in_hand import InHand, Rested
from relay.engine.observing import Observer
from relay.engine.records import Records
from relay.engine.settling import Round, Settled, Settlement, Settler
from relay.engine.tasks import Task
from relay.inbound.listeners import Endpoint
from relay.journal.api import Batch
from relay.lookup.resolver import Resolver


class Rounds:
    """Runs rounds and records them.

    `listeners` tells this relay's own, so that no mail comes back.
    """

    def __init__(
        self,
        *,
        attempts: Attempts,
        settler: Settler,
        resolver: Resolver,
        flags: Flags,
        listeners: Callable[[], tuple[Endpoint, ...]],
        records: Records,
        clock: Clock,
        observer: Observer,
    ) -> None:
        self._attempts = attempts
        self._settler = settler
        self._resolver = resolver
        self._flags = flags
        self._listeners = listeners
        self._records = records
        self._clock = clock
        self._observer = observer

    async def run(
        self,
        message: InHand,
        in_force: PolicyInForce,
        *,
        schedule: RetrySchedule,
        deadline: float | None = None,
    ) -> Rested:
        """Try what can be tried now; record attempts, states, bounces and notifications.

        `deadline` is a time of the event loop. While the
        journal can't be written this waits, unless a client does; then JournalError is raised
        where somebody else could not be promised a notification.
        """
        before = len(message.attempts)
        groups: dict[Domain, list[str]] = {}
        for recipient in message.recipients:
            groups.setdefault(parse_address(recipient).domain, []).append(recipient)
        steps: dict[str, Settled] = {}
        held: list[Result] = []
        try:
            if len(groups) == 1:
                ((domain, recipients),) = groups.items()
                await self._domain(
                    message, in_force, domain, recipients, schedule, deadline, steps, held
                )
            else:
                async with asyncio.TaskGroup() as tasks:
                    for domain, recipients in groups.items():
                        # No domain's records wait for another domain's host.
                        tasks.create_task(
                            self._domain(
                                message, in_force, domain, recipients, schedule, deadline, steps
                            )
                        )
            steps = {recipient: steps[recipient] for recipient in message.recipients}
            settlement = self._settle(message, in_force, steps, before)
        except BaseException:
            await self._record(message, held)
            raise
        if settlement.notifications:
            # Their refusal must not take the attempts with it.
            await self._record(message, held)
        await self._write(
            message,
            Batch(
                messages=settlement.notifications,
                sessions=_sessions(held),
                attempts=tuple([result.attempt for result in held]),
                bounces=settlement.bounces,
                updates=settlement.updates,
            ),
        )
        self._tell(message, held)
        for bounce in settlement.bounces:
            self._observer.bounced(bounce)
        for notification in settlement.notifications:
            self._observer.accepted(notification.envelope)
        return Rested(steps=steps, notifications=settlement.notifications)

    def _settle(
        self,
        message: InHand,
        in_force: PolicyInForce,
        steps: dict[str, Settled],
        before: int,
    ) -> Settlement:
        """Return what follows; `before` counts the attempts of earlier rounds."""
        return self._settler.settle(
            Round(
                envelope=message.envelope,
                content=message.content,
                steps=steps,
                attempts=message.attempts,
                tried_now={o.recipient for a in message.attempts[before:] for o in a.outcomes},
                policy=in_force.policy,
                at=self._clock.now(),
                client_waits=message.client_waits,
            )
        )

    async def _domain(  # noqa: PLR0917  # one call, above
        self,
        message: InHand,
        in_force: PolicyInForce,
        domain: Domain,
        recipients: list[str],
        schedule: RetrySchedule,
        deadline: float | None,
        settled: dict[str, Settled],
        held: list[Result] | None = None,
    ) -> None:
        """Take one domain's recipients along; `held` is left with what is not durable yet."""
        policy = in_force.policy
        planned = in_force.ways.way(
            domain,
            sender=domain_of(message.envelope.reverse_path),
            floor=message.envelope.protect_as,
        )
        answers = await self._hosts(planned.way.route.to, in_force, deadline)
        ours = planned.ours(answers, self._listeners())
        plan = planned.plan(answers, schedule, ours=ours)
        pending = recipients
        hurry = message.hurried
        while pending:
            tries = self._next_tries(message, pending, plan, policy, settled, hurry=hurry)
            hurry = False
            if tries and held:
                await self._record(message, held)
            for step, together in tries:
                task = Task(
                    envelope=message.envelope,
                    content=message.content,
                    recipients=tuple(together),
                    planned=planned,
                    hosts=plan.hops,
                    facts=message.facts,
                )
                match step:
                    case Try():
                        result = await self._attempts.make(task, step, in_force, deadline=deadline)
                    case NoHost():
                        result = self._attempts.without_host(task, step)
                    case _:
                        assert_never(step)
                message.add(result.attempt)
                if held is None or len(tries) > 1:
                    await self._record(message, [result])
                else:
                    held.append(result)
            pending = [recipient for _, together in tries for recipient in together]

    async def _hosts(
        self, to: Destination, in_force: PolicyInForce, deadline: float | None
    ) -> tuple[HostAddress, ...] | Failure:
        """Return where a destination's hosts are, or why there are none by the deadline."""
        try:
            async with asyncio.timeout_at(deadline):
                return await self._resolver.resolve(to)
        except TimeoutError:
            within = in_force.policy.delivery.reply_within
            return LocalRefusal(
                problem=LocalProblem.OUT_OF_TIME, detail=f"{to} was not found within {within}"
            )

    def _next_tries(
        self,
        message: InHand,
        recipients: list[str],
        plan: Plan,
        policy: Policy,
        settled: dict[str, Settled],
        *,
        hurry: bool,
    ) -> list[tuple[Try | NoHost, list[str]]]:
        """Return the tries to make now, each with its recipients; those at rest go to `settled`."""
        tries: list[tuple[Try | NoHost, list[str]]] = []
        now, accepted_at = self._clock.now(), message.envelope.received_at
        # Everybody's step who was not tried yet.
        first: Step | None = None
        for recipient in recipients:
            history = message.history(recipient)
            step: Step
            if history:
                step = next_step(history, plan, accepted_at=accepted_at, now=now)
            else:
                step = first = first or next_step((), plan, accepted_at=accepted_at, now=now)
            if hurry and isinstance(step, Wait):
                step = hurried(step, history, plan)
            match step:
                case Try() | NoHost():
                    refusal = self._flags.suppressed(message.envelope, recipient, policy)
                    if refusal is not None:
                        step = NoHost(round=step.round, failure=refusal)
                    # Most often all have the very same step, which spares to compare it.
                    if tries and tries[-1][0] is step:
                        tries[-1][1].append(recipient)
                    else:
                        tries.append((step, [recipient]))
                case Wait() | Done() | GiveUp():
                    settled[recipient] = step
                case _:
                    assert_never(step)
        return _grouped(tries) if len(tries) > 1 else tries

    async def _record(self, message: InHand, results: list[Result]) -> None:
        """Make attempts durable; `results` is empty then."""
        if not results:
            return
        await self._write(
            message,
            Batch(
                sessions=_sessions(results),
                attempts=tuple([result.attempt for result in results]),
            ),
        )
        self._tell(message, results)

    def _tell(self, message: InHand, results: list[Result]) -> None:
        for result in results:
            self._observer.attempted(message.envelope, result.attempt, result.session)
        results.clear()

    def _write(self, message: InHand, batch: Batch) -> Coroutine[None, None, None]:
        write = self._records.write_or_later if message.client_waits else self._records.write
        return write(batch)


def _sessions(results: list[Result]) -> tuple[Session, ...]:
    return tuple([session for result in results for session in result.sessions])


def _grouped(
    tries: list[tuple[Try | NoHost, list[str]]],
) -> list[tuple[Try | NoHost, list[str]]]:
    """Put the recipients of equal tries together."""
    groups: dict[Try | NoHost, list[str]] = {}
    for step, recipients in tries:
        groups.setdefault(step, []).extend(recipients)
    return list(groups.items())
