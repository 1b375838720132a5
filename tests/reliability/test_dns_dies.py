"""Name service that dies: the mail waits, and goes out when names are found again."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from dns_double import DnsDouble, Trouble
from e2e_relay import Start, TurnedClock, Watcher
from reliability_host import Host

from relay.core.outcomes import (
    Deferred,
    Delivered,
    DnsFailure,
    LocalProblem,
    LocalRefusal,
)
from relay.core.records import BounceAction


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.SILENT])
async def test_mail_waits_for_a_name_server_that_died(start: Start, trouble: Trouble) -> None:
    clock, watcher = TurnedClock(), Watcher()
    records = {"mail.test": ["MX 10 mx.mail.test."], "mx.mail.test": ["A 127.0.0.1"]}
    names = DnsDouble(records, {"mail.test": trouble})
    with Host() as host:
        async with names.running():
            policy = (
                "tls: Off\nreply: queued\n"
                f"dns: {{server: '127.0.0.1:{names.server.port}', timeout: 2s}}\n"
                f"routes: [{{match: mail.test, to: 'mx:mail.test:{host.port}'}}]\n"
            )
            async with start(policy, clock=clock, observer=watcher) as running:
                assert (await running.send("a@mail.test")).code == 250
                assert (await running.send("a@good.lab.test", mark="good")).code == 250
                await running.lab.wait_for_message("good")
                await watcher.until(lambda: len(watcher.bounces) == 1)
                (delayed,) = watcher.bounces
                assert delayed.action is BounceAction.DELAYED
                assert str(delayed.status) == "451 4.4.3"
                (attempt,) = running.record().attempts
                assert attempt.hop is None
                assert isinstance(attempt.outcomes[0].outcome, Deferred)
                assert isinstance(attempt.outcomes[0].outcome.failure, DnsFailure)
                names.troubles.clear()
                assert delayed.will_retry_at is not None
                await clock.turn_to(delayed.will_retry_at)
                await watcher.until(lambda: len(running.record().attempts) == 2)
                last = running.record().attempts[1]
                assert isinstance(last.outcomes[0].outcome, Delivered)
        assert [taken.recipients for taken in host.taken] == [("a@mail.test",)]


async def test_an_inline_client_waits_no_longer_for_a_look_up_than_for_an_answer(
    start: Start,
) -> None:
    names = DnsDouble({"mail.test": ["A 127.0.0.1"]}, {"mail.test": Trouble.SILENT})
    async with names.running():
        policy = (
            "tls: Off\nreply: inline\nreply_within: 1s\n"
            f"dns: {{server: '127.0.0.1:{names.server.port}', timeout: 100s}}\n"
            "routes: [{match: mail.test, to: mx}]\n"
        )
        async with start(policy) as running:
            reply = await running.send("a@mail.test")
            assert (reply.code, reply.text[:5]) == (451, "4.4.7")
            (attempt,) = running.record().attempts
            assert attempt.hop is None
            outcome = attempt.outcomes[0].outcome
            assert isinstance(outcome, Deferred)
            assert isinstance(outcome.failure, LocalRefusal)
            assert outcome.failure.problem is LocalProblem.OUT_OF_TIME
            assert len(running.record().bounces) == 1


async def test_mail_waits_for_the_systems_resolver(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, dead = socket.getaddrinfo, [True]

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "mx.named.test":
            return real(host, *arguments, **options)
        if dead[0]:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return real("127.0.0.1", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    clock, watcher = TurnedClock(), Watcher()
    with Host() as host:
        policy = (
            "tls: Off\nreply: queued\n"
            f"routes: [{{match: named.test, to: 'smtp://mx.named.test:{host.port}'}}]\n"
        )
        async with start(policy, clock=clock, observer=watcher) as running:
            assert (await running.send("a@named.test")).code == 250
            await watcher.until(lambda: len(watcher.bounces) == 1)
            (delayed,) = watcher.bounces
            assert str(delayed.status) == "451 4.4.3"
            dead[0] = False
            assert delayed.will_retry_at is not None
            await clock.turn_to(delayed.will_retry_at)
            await watcher.until(lambda: len(running.record().attempts) == 2)
        assert len(host.taken) == 1
