"""A host that accepts connections and then says nothing holds up its own mail alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from e2e_relay import Running, Start
from outbound_peer import Do, Peer

from relay.config.policy_file import load_policy_text
from relay.engine import hands, queue
from relay.engine.attempts import SESSIONS, SESSIONS_PER_HOST
from relay.engine.hands import AT_ONCE, PER_DOMAIN
from relay.journal.api import RecipientState

GOOD = 20


def policy(peer: Peer, reply: str) -> str:
    return (
        "tls: Off\nconnect_timeout: 100s\ncommand_timeout: 100s\n"
        f"reply: {reply}\nroutes: [{{match: silent.test, to: '127.0.0.1:{peer.hop.port}'}}]\n"
    )


@contextlib.asynccontextmanager
async def beside_silent_host(
    start: Start, reply: str
) -> AsyncIterator[tuple[Running, Peer, contextlib.AsyncExitStack]]:
    """Run a relay beside such a host; closing the stack ends the host."""
    peer = Peer(banner=Do.SILENT)
    async with contextlib.AsyncExitStack() as host:
        await host.enter_async_context(peer.running())
        async with start(policy(peer, reply)) as running:
            yield running, peer, host
            # A stop would wait for the host as long as it may.
            await host.aclose()


async def deliver_good_ones(running: Running) -> None:
    for number in range(GOOD):
        reply = await running.send("a@good.lab.test", mark=f"good-{number}")
        assert reply.code == 250
    for number in range(GOOD):
        mark = f"Subject: good-{number}\r\n".encode()
        await running.lab.wait_for_message(
            "good", where=lambda message, mark=mark: mark in message.content, within=30
        )


@pytest.mark.parametrize("waiting", [1, AT_ONCE + 20])
async def test_queued_mail_for_others_is_delivered_meanwhile(start: Start, waiting: int) -> None:
    peer = Peer(banner=Do.SILENT)
    async with peer.running(), start(policy(peer, "queued")) as running, peer.running():
        for number in range(waiting):
            assert (await running.send("a@silent.test", mark=f"s-{number}")).code == 250
        await deliver_good_ones(running)
        for number in range(waiting):
            record = running.record(f"s-{number}")
            assert record.attempts == ()
            assert record.recipients[0].state is RecipientState.QUEUED
        assert 1 <= len(peer.conversations) <= PER_DOMAIN


async def test_mail_behind_a_page_of_the_silent_hosts_is_seen(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK_AHEAD", 5)
    monkeypatch.setattr(hands, "PER_DOMAIN", 2)
    async with beside_silent_host(start, "queued") as (running, peer, _):
        for number in range(12):
            assert (await running.send("a@silent.test", mark=f"s-{number}")).code == 250
        await deliver_good_ones(running)
        assert len(peer.conversations) <= 2


async def test_a_message_with_many_recipients_at_the_silent_host_hides_nobody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "LOOK_AHEAD", 5)
    async with beside_silent_host(start, "queued") as (running, _, _):
        many = [f"a{number}@silent.test" for number in range(20)]
        assert (await running.send(*many, mark="many")).code == 250
        await deliver_good_ones(running)


async def test_an_inline_client_of_another_host_is_answered_meanwhile(start: Start) -> None:
    async with (
        beside_silent_host(start, "inline\nreply_within: 100s") as (running, peer, host),
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [
            tasks.create_task(running.send("a@silent.test", mark=f"s-{number}"))
            for number in range(SESSIONS + 5)
        ]
        async with asyncio.timeout(60):
            while len(peer.conversations) < SESSIONS_PER_HOST:
                await asyncio.sleep(0.01)
        assert (await running.send("a@good.lab.test", mark="good")).code == 250
        assert not any(task.done() for task in waiting)
        assert len(peer.conversations) == SESSIONS_PER_HOST
        await host.aclose()
    assert {task.result().code // 100 for task in waiting} == {4}


async def test_a_client_does_not_wait_for_a_slot_longer_than_for_an_answer(start: Start) -> None:
    """`reply_within` holds for those who wait for another client's session to end, too."""
    async with (
        beside_silent_host(start, "inline\nreply_within: 100s") as (running, peer, host),
        asyncio.TaskGroup() as tasks,
    ):
        for number in range(SESSIONS_PER_HOST):
            tasks.create_task(running.send("a@silent.test", mark=f"first-{number}"))
        async with asyncio.timeout(60):
            while len(peer.conversations) < SESSIONS_PER_HOST:
                await asyncio.sleep(0.01)
        impatient = policy(peer, "inline\nreply_within: 1s")
        await running.relay.load(load_policy_text(impatient, name="impatient"))
        replies = await asyncio.gather(
            *(running.send("a@silent.test", mark=f"s-{number}") for number in range(3))
        )
        assert {(reply.code, reply.text[:5]) for reply in replies} == {(451, "4.4.7")}
        assert len(peer.conversations) == SESSIONS_PER_HOST
        for number in range(3):
            assert len(running.record(f"s-{number}").bounces) == 1
        await host.aclose()
