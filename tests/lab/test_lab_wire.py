"""The wire: lines and data however they are cut up, alerts that really leave, limits."""

from __future__ import annotations

import asyncio
import ssl
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lab_handshakes import verifying_context

from relay.core.replies import Reply
from relay.core.settings import TlsVersion
from relay.core.transcripts import Direction, TranscriptLog
from relay.lab.authority import LabAuthority
from relay.lab.received import Octets
from relay.lab.recipes import shipped_recipes
from relay.lab.scripts import ServeTls
from relay.lab.server_tls import server_context
from relay.lab.tls_layer import HandshakeError, OpenSslLayer
from relay.lab.wire import (
    MAX_COMMAND,
    ClientSilent,
    ConnectionEnded,
    LineTooLong,
    SmtpWire,
)

HOST = "mx.wire.lab.test"


def make_wire(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, idle_seconds: float = 5.0
) -> tuple[SmtpWire, Octets]:
    octets = Octets()
    log = TranscriptLog(lambda: datetime.now(UTC))
    keep = partial(log.command, Direction.RECEIVED)
    wire = SmtpWire(
        reader, writer, log=log, overheard=keep, octets=octets, idle_seconds=idle_seconds
    )
    return wire, octets


def read_only(chunks: list[bytes]) -> tuple[SmtpWire, Octets]:
    """Return a wire whose client has sent these chunks and left."""
    reader = asyncio.StreamReader()
    for chunk in chunks:
        reader.feed_data(chunk)
    reader.feed_eof()
    return make_wire(reader, cast("asyncio.StreamWriter", None))


@asynccontextmanager
async def serving(
    serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> AsyncIterator[int]:
    """Run a server for one block; wait for its sessions, whose failures fail the test."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sessions.create_task(session(reader, writer))

    async with asyncio.TaskGroup() as sessions:
        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            await server.wait_closed()


def stuffed(content: bytes) -> bytes:
    """Dot-stuff by the letter of RFC 5321 section 4.5.2, line by line."""
    lines = content.split(b"\r\n")
    return b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)


lines = st.lists(
    st.one_of(
        st.sampled_from([b"", b".", b"..", b".x", b"\n.\n", b"\r", b".\r", b"\n.", b"x"]),
        st.binary(max_size=30).map(lambda line: line.replace(b"\r\n", b"")),
    ),
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(lines=lines, cuts=st.lists(st.integers(1, 12), max_size=40))
def test_a_message_arrives_as_it_was_meant_however_it_is_cut(
    lines: list[bytes], cuts: list[int]
) -> None:
    content = b"".join(line + b"\r\n" for line in lines)
    if b"\r\n.\r\n" in stuffed(content):
        # A line of the message that is a bare CR or ends in one may build an end of data.
        return
    sent = stuffed(content) + b".\r\nNEXT\r\n"
    chunks, rest = [], sent
    for cut in cuts:
        chunks.append(rest[:cut])
        rest = rest[cut:]
    chunks.append(rest)

    async def scenario() -> None:
        wire, octets = read_only([chunk for chunk in chunks if chunk])
        assert await wire.read_data(1000) == content
        assert await wire.read_command() == b"NEXT\r\n"
        assert octets.data == len(sent) - len(b"NEXT\r\n")
        assert octets.received == len(sent)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "smuggled",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\r\n\x00.\r\n", b"\r.\r\n"],
)
async def test_nothing_but_crlf_dot_crlf_ends_a_message(smuggled: bytes) -> None:
    wire, _ = read_only([b"one" + smuggled + b"MAIL FROM:<x@y.test>\r\n.\r\n"])
    content = await wire.read_data(1000)
    assert content is not None
    assert content.endswith(b"MAIL FROM:<x@y.test>\r\n")
    with pytest.raises(ConnectionEnded):
        await wire.read_command()


async def test_a_message_over_the_limit_is_read_to_its_end_and_not_held() -> None:
    wire, octets = read_only([b"x" * 500_000 + b"\r\n.\r\nQUIT\r\n"])
    assert await wire.read_data(499_999) is None
    assert octets.data == 500_005
    assert await wire.read_command() == b"QUIT\r\n"


async def test_a_message_of_just_the_limit_is_kept() -> None:
    wire, _ = read_only([b"x" * 98 + b"\r\n.\r\n"])
    assert await wire.read_data(100) == b"x" * 98 + b"\r\n"


async def test_an_endless_message_takes_bounded_memory() -> None:
    class LongWinded(asyncio.StreamReader):
        chunks = 50

        async def read(self, n: int = -1) -> bytes:
            self.chunks -= 1
            return b"y" * 65_536 if self.chunks >= 0 else b"\r\n.\r\n"

    wire, octets = make_wire(LongWinded(), cast("asyncio.StreamWriter", None))
    tracemalloc.start()
    try:
        assert await wire.read_data(1000) is None
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert octets.data == 50 * 65_536 + 5
    assert peak < 1_000_000


async def test_data_cut_short_is_counted_all_the_same() -> None:
    wire, octets = read_only([b"Subject: half a mess"])
    with pytest.raises(ConnectionEnded):
        await wire.read_data(1000)
    assert octets.data == len(b"Subject: half a mess")


@pytest.mark.parametrize("end", [b"", b"\r\n"])
async def test_a_command_line_is_bounded(end: bytes) -> None:
    wire, _ = read_only([b"A" * (MAX_COMMAND + 1) + end])
    with pytest.raises(LineTooLong):
        await wire.read_command()


async def test_commands_may_be_pipelined() -> None:
    wire, _ = read_only([b"ONE\r\nTW", b"O\r\nTHREE\n"])
    assert [await wire.read_command() for _ in range(3)] == [b"ONE\r\n", b"TWO\r\n", b"THREE\n"]


async def test_a_silent_client_is_told_apart_from_one_that_left() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, _ = make_wire(reader, writer, idle_seconds=0.01)
        with pytest.raises(ClientSilent):
            await wire.read_command()

    async with serving(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()


async def test_tls_from_handshake_to_closure(authority: LabAuthority) -> None:
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), ServeTls())
    seen: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, octets = make_wire(reader, writer)
        await wire.start_tls(OpenSslLayer(server))
        await wire.send(Reply(code=250, text="first\nsecond"))
        seen.extend([await wire.read_command(), wire.encrypted, wire.tls_version, wire.cipher])
        big = await wire.read_data(1_000_000)
        assert big is not None
        seen.append(len(big))
        await wire.close()
        seen.append(octets.received > 300_000)

    async with serving(serve) as port:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=verifying_context(authority.root_pem), server_hostname=HOST
        )
        assert await reader.readline() == b"250-first\r\n"
        assert await reader.readline() == b"250 second\r\n"
        writer.write(b"NOOP\r\n" + b"z" * 300_000 + b"\r\n.\r\n")
        assert await reader.read() == b""
        writer.close()
        await writer.wait_closed()
    assert seen == [b"NOOP\r\n", True, "TLSv1.3", "TLS_AES_256_GCM_SHA384", 300_002, True]


async def client_handshake_error(port: int, client: ssl.SSLContext) -> ssl.SSLError:
    with pytest.raises(ssl.SSLError) as caught:
        await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=HOST)
    return caught.value


async def test_the_alert_of_an_old_version_reaches_the_client(authority: LabAuthority) -> None:
    script = ServeTls(minimum=TlsVersion.TLS1_1, maximum=TlsVersion.TLS1_1)
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), script)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, _ = make_wire(reader, writer)
        with pytest.raises(HandshakeError, match="UNSUPPORTED_PROTOCOL"):
            await wire.start_tls(OpenSslLayer(server))

    async with serving(serve) as port:
        error = await client_handshake_error(port, verifying_context(authority.root_pem))
    assert error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


async def test_the_alert_of_no_shared_cipher_reaches_the_client(authority: LabAuthority) -> None:
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), ServeTls())
    server.maximum_version = ssl.TLSVersion.TLSv1_2
    server.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
    client = verifying_context(authority.root_pem)
    client.set_ciphers("ECDHE-ECDSA-CHACHA20-POLY1305")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, _ = make_wire(reader, writer)
        with pytest.raises(HandshakeError, match="NO_SHARED_CIPHER"):
            await wire.start_tls(OpenSslLayer(server))

    async with serving(serve) as port:
        error = await client_handshake_error(port, client)
    assert error.reason == "SSLV3_ALERT_HANDSHAKE_FAILURE"


async def test_an_alert_arrives_though_the_client_goes_on_talking(authority: LabAuthority) -> None:
    # Unread input at the moment of closing would turn the connection's end into a reset, and
    # the reset would overtake the alert.
    script = ServeTls(minimum=TlsVersion.TLS1_1, maximum=TlsVersion.TLS1_1)
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), script)
    hello = ssl.MemoryBIO()
    client = verifying_context(authority.root_pem)
    with pytest.raises(ssl.SSLWantReadError):
        client.wrap_bio(ssl.MemoryBIO(), hello, server_hostname=HOST).do_handshake()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, _ = make_wire(reader, writer)
        with pytest.raises(HandshakeError):
            await wire.start_tls(OpenSslLayer(server))

    async with serving(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(hello.read() + b"and a lot more" * 100_000)
        received = await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    # RFC 5246 section 6.2.1 and 7.2: an alert record (21), fatal (2), protocol_version (70).
    assert (received[0], *received[5:7]) == (21, 2, 70)


async def test_what_came_ahead_of_the_handshake_is_forgotten_and_counted(
    authority: LabAuthority,
) -> None:
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), ServeTls())
    injected = b"MAIL FROM:<attacker@evil.test>\r\n"
    commands: list[bytes] = []
    counted: list[int] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, octets = make_wire(reader, writer)
        commands.append(await wire.read_command())
        await wire.send(Reply(code=220, text="go"))
        await wire.start_tls(OpenSslLayer(server))
        counted.append(octets.discarded)
        commands.append(await wire.read_command())

    async with serving(serve) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"STARTTLS\r\n" + injected)
        assert await reader.readline() == b"220 go\r\n"
        await writer.start_tls(verifying_context(authority.root_pem), server_hostname=HOST)
        writer.write(b"QUIT\r\n")
        await writer.drain()
        assert await reader.read() == b""
        writer.close()
        with suppress(OSError, ssl.SSLError):
            await writer.wait_closed()
    assert commands == [b"STARTTLS\r\n", b"QUIT\r\n"]
    assert counted == [len(injected)]


async def test_a_client_that_leaves_in_the_handshake(authority: LabAuthority) -> None:
    server = server_context(authority.issue(shipped_recipes()["good"], HOST), ServeTls())

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire, _ = make_wire(reader, writer)
        with pytest.raises(HandshakeError, match="the client closed the connection"):
            await wire.start_tls(OpenSslLayer(server))

    async with serving(serve) as port:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        await writer.wait_closed()
