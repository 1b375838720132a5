"""A handshake is made beside the loop, and ends well however the connection does meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import trustme

from relay.tls.start import start_tls

HOST = "mx.start.test"


class Session(asyncio.Protocol):
    """What goes on over TLS: keeps what it is told."""

    def __init__(self) -> None:
        self.received = b""
        self.news = asyncio.Event()
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.received += data
        self.news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def served(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    return context


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(context)
    return context


def watched(context: ssl.SSLContext, watch: Callable[[], None]) -> ssl.SSLContext:
    """Have `watch` called wherever the handshake's arithmetic is done."""

    class Watched(ssl.SSLObject):
        def do_handshake(self) -> None:
            watch()
            super().do_handshake()

    context.sslobject_class = Watched
    return context


Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[object]]


@asynccontextmanager
async def wire_to(serve: Serve) -> AsyncIterator[asyncio.Transport]:
    """Connect to a server that does what `serve` says, and is gone in the end."""
    served = asyncio.Event()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        served.set()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    async with server:
        wire, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *address)
        try:
            yield wire
        finally:
            wire.abort()
            await served.wait()


def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> Awaitable[object]:
    return reader.read()


def shakes(context: ssl.SSLContext, words: bytes = b"") -> Serve:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(context)
        writer.write(words)
        await writer.drain()

    return serve


async def test_the_loop_does_none_of_the_arithmetic(
    served: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    threads: set[int] = set()
    session = Session()
    context = watched(trusting, lambda: threads.add(threading.get_ident()))
    async with wire_to(shakes(served, b"hello")) as wire:
        secured = await start_tls(wire, session, context, server_name=HOST, handshake_seconds=5)
        await session.news.wait()
        await session.lost.wait()
    assert secured.get_extra_info("ssl_object").version() == "TLSv1.3"
    assert session.received == b"hello"
    assert threads
    assert threading.get_ident() not in threads


async def test_what_tls_objects_to_is_raised(
    served: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async with wire_to(shakes(served)) as wire:
        with pytest.raises(ssl.SSLCertVerificationError):
            await start_tls(
                wire, Session(), trusting, server_name="other.test", handshake_seconds=5
            )
    assert wire.is_closing()


async def test_an_alert_with_the_end_right_behind_it_is_what_is_raised(
    trusting: ssl.SSLContext,
) -> None:
    # TLS 1.2, fatal, handshake_failure (RFC 8446 section 6).
    alert = bytes((21, 3, 3, 0, 2, 2, 40))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(alert)

    async with wire_to(serve) as wire:
        with pytest.raises(ssl.SSLError, match="ALERT_HANDSHAKE_FAILURE"):
            await start_tls(wire, Session(), trusting, server_name=HOST, handshake_seconds=5)


async def test_a_connection_that_is_cut_meanwhile_ends_behind_the_work(
    trusting: ssl.SSLContext,
) -> None:
    loop = asyncio.get_running_loop()
    at_work, go_on = asyncio.Event(), threading.Event()

    def watch() -> None:
        loop.call_soon_threadsafe(at_work.set)
        go_on.wait(10)

    context = watched(trusting, watch)
    ended = asyncio.Event()

    async def shake() -> None:
        with pytest.raises(ConnectionResetError):
            await start_tls(wire, Session(), context, server_name=HOST, handshake_seconds=5)
        ended.set()

    async with wire_to(silent) as wire, asyncio.TaskGroup() as tasks:
        tasks.create_task(shake())
        await at_work.wait()
        wire.abort()
        # The loop tells of the end in its next turn, which is over in the one behind it.
        for _ in range(3):
            await asyncio.sleep(0)
        assert not ended.is_set()
        go_on.set()


async def test_a_cancelled_handshake_closes_the_connection(trusting: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    at_work, hung_up = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        hung_up.set()

    def watch() -> None:
        loop.call_soon_threadsafe(at_work.set)

    context = watched(trusting, watch)
    async with wire_to(serve) as wire, asyncio.TaskGroup() as tasks:
        shaking = tasks.create_task(
            start_tls(wire, Session(), context, server_name=HOST, handshake_seconds=5)
        )
        await at_work.wait()
        shaking.cancel()
        await hung_up.wait()
    assert shaking.cancelled()


async def test_a_handshake_that_takes_too_long_is_an_aborted_connection(
    trusting: ssl.SSLContext,
) -> None:
    async with wire_to(silent) as wire:
        with pytest.raises(ConnectionAbortedError):
            await start_tls(wire, Session(), trusting, server_name=HOST, handshake_seconds=0.05)
