"""Hosts that are asked for but rarely, whatever the volume."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.core.destinations import ToHost
from relay.core.outcomes import DnsFailure
from relay.lookup import remembered
from relay.lookup.remembered import RememberedHosts
from relay.lookup.resolver import SystemResolver


class Names:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append(host)
        if host == "nobody.test":
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return (f"127.0.0.{len(self.asked)}",)


async def test_an_answer_stands_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names()
    hosts = RememberedHosts(SystemResolver(lookup=names))
    first = await hosts.resolve(ToHost(host="mx.test", port=25))
    assert await hosts.resolve(ToHost(host="mx.test", port=25)) is first
    await hosts.resolve(ToHost(host="mx.test", port=26))
    assert names.asked == ["mx.test", "mx.test"]
    loop = asyncio.get_running_loop()
    later = loop.time() + remembered.REMEMBERED.total_seconds()
    monkeypatch.setattr(loop, "time", lambda: later)
    assert await hosts.resolve(ToHost(host="mx.test", port=25)) != first
    monkeypatch.undo()


async def test_a_failure_is_asked_about_again() -> None:
    names = Names()
    hosts = RememberedHosts(SystemResolver(lookup=names))
    for _ in range(2):
        assert isinstance(await hosts.resolve(ToHost(host="nobody.test")), DnsFailure)
    assert names.asked == ["nobody.test"] * 2


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remembered, "MOST_REMEMBERED", 3)
    hosts = RememberedHosts(SystemResolver(lookup=Names()))
    for number in range(10):
        await hosts.resolve(ToHost(host=f"h{number}.test"))
    assert len(hosts._known) <= 3
