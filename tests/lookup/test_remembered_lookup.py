"""A lookup that is asked but rarely, whatever the volume."""

from __future__ import annotations

import asyncio
import socket

import pytest

from relay.core.destinations import ToHost
from relay.lookup import resolver
from relay.lookup.resolver import RememberedLookup, SystemResolver


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
    system = SystemResolver(lookup=RememberedLookup(names))
    first = await system.resolve(ToHost(host="mx.test", port=25))
    assert await system.resolve(ToHost(host="mx.test", port=25)) == first
    await system.resolve(ToHost(host="mx.test", port=26))
    assert names.asked == ["mx.test", "mx.test"]
    loop = asyncio.get_running_loop()
    later = loop.time() + resolver.REMEMBERED.total_seconds()
    monkeypatch.setattr(loop, "time", lambda: later)
    assert await system.resolve(ToHost(host="mx.test", port=25)) != first
    monkeypatch.undo()


async def test_a_failure_is_asked_about_again() -> None:
    names = Names()
    lookup = RememberedLookup(names)
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            await lookup("nobody.test", 25)
    assert names.asked == ["nobody.test"] * 2


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolver, "MOST_REMEMBERED", 3)
    lookup = RememberedLookup(Names())
    for number in range(10):
        await lookup(f"h{number}.test", 25)
    assert len(lookup._known) <= 3
