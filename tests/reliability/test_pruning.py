"""A relay that keeps little: settled mail goes while mail goes on, what is queued never does."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from e2e_relay import Start, TurnedClock

from relay.engine.pruning import EVERY
from relay.journal.api import RecipientState
from relay.journal.pruning import Keep

POLICY = "tls: Preferred\nreply: queued\nretry: {attempts: 9, first_delay: 1h, expire_after: 5d}\n"


async def test_settled_mail_goes_and_queued_mail_stays_while_a_relay_runs(start: Start) -> None:
    clock = TurnedClock()
    async with start(POLICY, clock=clock, keep=Keep(messages=2)) as running:
        journal = running.relay.journal
        await running.send("someone@greeting-421.lab.test", mark="waits")
        for number in range(5):
            await clock.turn_to(clock.now() + timedelta(seconds=1))
            await running.send("someone@good.lab.test", mark=f"m{number}")

        async def until(count: int) -> None:
            while journal.counts().messages != count or (
                journal.counts().recipients[RecipientState.QUEUED] > 1
            ):
                await asyncio.sleep(0.01)

        async with asyncio.timeout(30):
            await until(6)
            await clock.turn_to(clock.now() + EVERY)
            await until(3)
        left = {m.envelope.subject for m in journal.messages(10)}
        assert left == {"waits", "m3", "m4"}
        assert running.record("waits").recipients[0].state is RecipientState.QUEUED
        await running.send("someone@good.lab.test", mark="after")
        assert running.record("after").envelope.subject == "after"
