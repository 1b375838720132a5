"""The server: it opens at once, leaves signals alone, and closes whatever clients do."""

from __future__ import annotations

import asyncio
import signal
import socket
from contextlib import suppress
from datetime import timedelta

import httpx
import pytest
from starlette.types import Receive, Scope, Send
from test_web_problems import assert_problem
from web_client import hear, lines, serving

from relay.lab.lab import Lab
from relay.lab.name_server import LabNameServer
from relay.lab.zone import lab_zone
from relay.web.binding import WebListenError, bind
from relay.web.problems import ProblemKind
from relay.web.readiness import lab_readiness
from relay.web.server import WebServer

LONG = timedelta(hours=1)


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})


async def test_what_connects_before_the_server_runs_is_served_when_it_does() -> None:
    bound = bind("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(bound.host, bound.port)
    writer.write(lines("GET / HTTP/1.1", "Host: localhost", "Connection: close"))
    async with WebServer(hello, bound):
        assert (await reader.read()).endswith(b"hello\r\n0\r\n\r\n")
        writer.close()


async def test_idle_connections_do_not_hold_the_end_up() -> None:
    """The grace is an hour: were it needed, the test would time out."""
    bound = bind("127.0.0.1", 0)
    async with WebServer(hello, bound, grace=LONG):
        silent, silent_writer = await asyncio.open_connection(bound.host, bound.port)
        half, half_writer = await asyncio.open_connection(bound.host, bound.port)
        half_writer.write(b"GET / HTT")
        kept, kept_writer = await asyncio.open_connection(bound.host, bound.port)
        kept_writer.write(lines("GET / HTTP/1.1", "Host: localhost"))
        assert await kept.readuntil(b"0\r\n\r\n")
    for reader, writer in ((silent, silent_writer), (half, half_writer), (kept, kept_writer)):
        assert await reader.read() == b""
        writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(bound.host, bound.port)


async def test_a_request_in_hand_may_end_within_the_grace() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        begun.set()
        await go_on.wait()
        await hello(scope, receive, send)

    bound = bind("127.0.0.1", 0)
    server = WebServer(slow, bound, grace=LONG)
    await server.__aenter__()
    async with asyncio.TaskGroup() as tasks:
        answer = tasks.create_task(
            hear(httpx.URL(bound.url), lines("GET / HTTP/1.1", "Host: localhost"))
        )
        await begun.wait()
        closing = tasks.create_task(server.__aexit__(None, None, None))
        await asyncio.sleep(0)
        assert not closing.done()
        go_on.set()
    assert b"hello" in answer.result()


async def test_a_client_that_never_reads_and_a_route_that_waits_are_cut_off(
    caplog: pytest.LogCaptureFixture,
) -> None:
    flooded, left = asyncio.Event(), asyncio.Event()

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/flood":
            flooded.set()
            for _ in range(10_000):
                await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
            return
        while (await receive())["type"] != "http.disconnect":
            pass
        left.set()

    bound = bind("127.0.0.1", 0)
    writers = []
    async with WebServer(endless, bound, grace=timedelta(milliseconds=50)):
        for path in ("/flood", "/events"):
            _, writer = await asyncio.open_connection(bound.host, bound.port, limit=1)
            writer.write(lines(f"GET {path} HTTP/1.1", "Host: localhost"))
            writers.append(writer)
        await flooded.wait()
    await left.wait()
    for writer in writers:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "web"] == []


async def test_connections_are_bounded_and_idle_ones_count() -> None:
    bound = bind("127.0.0.1", 0)
    request = lines("GET / HTTP/1.1", "Host: localhost", "Connection: close")
    async with WebServer(hello, bound, max_connections=3):
        first, first_writer = await asyncio.open_connection(bound.host, bound.port)
        idle = [(await asyncio.open_connection(bound.host, bound.port))[1] for _ in range(2)]
        first_writer.write(request)
        assert (await first.read()).startswith(b"HTTP/1.1 200 ")
        idle.append((await asyncio.open_connection(bound.host, bound.port))[1])
        refused = await hear(httpx.URL(bound.url), request)
        assert refused.startswith(b"HTTP/1.1 503 ")
        for writer in (*idle, first_writer):
            writer.close()


async def test_signals_stay_the_programs() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with WebServer(hello, bind("127.0.0.1", 0)):
        during = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    assert during == before


def test_a_port_that_is_taken_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WebListenError) as caught:
            bind("127.0.0.1", port)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port} (web): another program uses this port"
    )


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_an_address_that_is_not_ours(host: str) -> None:
    with pytest.raises(WebListenError, match="this machine has no such address"):
        bind(host, 0)


@pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("127.0.0.1",) * 2])
def test_the_url_is_one_that_a_client_can_use(host: str, reached: str) -> None:
    bound = bind(host, 0)
    assert bound.url == f"http://{reached}:{bound.port}"
    bound.socket.close()


async def test_ready_while_every_receiver_and_the_name_server_accept(lab: Lab) -> None:
    good = await lab.address("good")
    names = LabNameServer(lab_zone({"good": good}))
    await names.__aenter__()
    async with serving(lab, readiness=lab_readiness(lab, names.server)) as client:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        assert lab.received("good") == ()
        where = names.server
        await names.__aexit__(None, None, None)
        await lab.close()
        body = assert_problem(await client.get("/readyz"), ProblemKind.NOT_READY, 503)
        assert body["missing"] == [
            "lab/good does not listen",
            f"the name server on {where} does not accept",
        ]
        assert (await client.get("/livez")).json() == {"status": "live"}
