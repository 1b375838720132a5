"""The event stream: live, resumed, and never in the way of mail."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from relay_port import API, Port, SseEvent, events_of, relay_port

from relay.lab.authority import LabAuthority
from relay.web import event_routes
from relay.web.live import Live


@contextlib.asynccontextmanager
async def stream(
    port: Port, last: str | None = None, **parameters: Any
) -> AsyncIterator[AsyncIterator[SseEvent]]:
    headers = {} if last is None else {"Last-Event-ID": last}
    async with port.client.stream(
        "GET", f"{API}/events", params=parameters, headers=headers
    ) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.aiter_lines()
        # The first line says where the stream begins, so nothing sent later can be missed.
        assert (await anext(lines)).startswith(("id: ", "event: resync"))
        yield events_of(lines)


async def take(events: AsyncIterator[SseEvent], count: int) -> list[SseEvent]:
    return [await anext(events) for _ in range(count)]


async def test_what_happens_is_streamed_as_records(port: Port) -> None:
    async with stream(port) as events:
        await port.send("a@expired.lab.test")
        accepted, attempted, bounced = await take(events, 3)
    assert [e.event for e in (accepted, attempted, bounced)] == ["accepted", "attempted", "bounced"]
    way = await port.get("/mail/latest")
    assert accepted.data == way["envelope"]
    assert attempted.data == way["attempts"][0]
    assert bounced.data == way["bounces"][0]


async def test_a_client_that_was_away_gets_exactly_what_it_missed(port: Port) -> None:
    async with stream(port) as events:
        await port.send("a@expired.lab.test")
        first = await anext(events)
    await port.send("b@good.lab.test")
    async with stream(port, first.id) as events:
        rest = await take(events, 4)
    kinds = [event.event for event in rest]
    assert sorted(kinds) == ["accepted", "attempted", "attempted", "bounced"]
    assert len({(e.event, e.data["id"]) for e in (first, *rest)}) == 5
    async with stream(port, after=rest[1].id) as events:
        assert await take(events, 2) == rest[2:]
    async with stream(port, after="0-0-0", kind="bounced") as events:
        assert [e.event for e in await take(events, 1)] == ["bounced"]


@pytest.mark.parametrize("last", ["nonsense", "999-999-999"])
async def test_a_position_of_nowhere_is_answered_with_resync(port: Port, last: str) -> None:
    await port.send("b@good.lab.test")
    async with port.client.stream(
        "GET", f"{API}/events", headers={"Last-Event-ID": last}
    ) as answer:
        told = await anext(events_of(answer.aiter_lines()))
    assert told.event == "resync"
    assert told.id == str(port.served.journal.position())


async def test_who_is_too_far_behind_is_told_resync_and_goes_on(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_routes, "BEHIND", 2)
    await port.send("a@expired.lab.test")
    async with stream(port, after="0-0-0") as events:
        told = await anext(events)
        assert (told.event, told.data) == ("resync", {"missed": 3})
        monkeypatch.undo()
        await port.send("b@good.lab.test")
        assert (await anext(events)).event == "accepted"


async def test_a_client_that_does_not_read_does_not_slow_mail_or_the_end(
    tmp_path: Path, authority: LabAuthority
) -> None:
    async with relay_port(tmp_path, authority) as port:
        url = port.client.base_url
        _, writer = await asyncio.open_connection(url.host, url.port, limit=1024)
        writer.write(f"GET {API}/events HTTP/1.1\r\nHost: {url.netloc.decode()}\r\n\r\n".encode())
        await writer.drain()
        for number in range(5):
            await port.send("b@good.lab.test", mark=f"m{number}")
        assert len(await port.ids()) == 5
    # Leaving the block ended the server, with that client still connected.
    writer.transport.abort()


async def test_a_stream_ends_when_the_port_closes(port: Port) -> None:
    async with stream(port) as events:
        port.served.live.close()
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert not port.served.live.full


async def test_notices_are_streamed_and_have_no_id_of_their_own(
    port: Port, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_routes, "to_json", lambda value: {"about": str(value)})
    async with stream(port, kind="notice") as events:
        await port.served.live.deliver("a notice")  # type: ignore[arg-type]
        told = await anext(events)
    assert (told.event, told.data) == ("notice", {"about": "a notice"})
    assert told.id is None


async def test_the_newest_notices_are_kept_for_streams() -> None:
    live = Live()
    for number in range(150):
        await live.deliver(number)  # type: ignore[arg-type]
    assert live.notified == 150
    kept: list[Any] = live.notices(0)
    assert [entry.notice for entry in kept] == list(range(50, 150))
    assert [entry.number for entry in live.notices(148)] == [149, 150]
