"""Before TLS: the connection, the greeting, EHLO, and hosts that may not be connected to."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest
from outbound_peer import HOST, Do, Peer, Step
from outbound_relay import Relay, assert_failure

from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    LocalProblem,
    LocalRefusal,
    PeerRefusal,
    Stage,
)
from relay.core.replies import Reply
from relay.core.routing import Hop

SHORT = 0.2
"""Seconds to wait for a peer that will never answer."""

SECOND = timedelta(seconds=1)
LOST = ConnectionProblem.LOST
TIMEOUT = ConnectionProblem.TIMEOUT


@pytest.mark.parametrize(
    ("banner", "stage", "expected"),
    [
        (b"421 4.3.2 busy\r\n", Stage.BANNER, Reply(code=421, text="4.3.2 busy")),
        (b"450 later\r\n", Stage.BANNER, Reply(code=450, text="later")),
        (b"554 5.7.1 go away\r\n", Stage.BANNER, Reply(code=554, text="5.7.1 go away")),
        (b"554-one\r\n554 two\r\n", Stage.BANNER, Reply(code=554, text="one\ntwo")),
        (b"250 hello\r\n", Stage.BANNER, Reply(code=250, text="hello")),
        (
            b"HTTP/1.1 400 Bad Request\r\n",
            Stage.BANNER,
            Reply(code=-1, text="HTTP/1.1 400 Bad Request"),
        ),
        (b"12\r\n", Stage.BANNER, Reply(code=-1, text="12 ")),
        (b"220\xff\xfe\r\n"[:3] + b"x", Stage.BANNER, TIMEOUT),
        (Do.SILENT, Stage.BANNER, TIMEOUT),
        (Do.CLOSE, Stage.BANNER, LOST),
        (Do.RESET, Stage.BANNER, LOST),
        ((b"220-begun\r\n", Do.CLOSE), Stage.BANNER, LOST),
    ],
    ids=str,
)
async def test_greeting(
    relay: Relay, banner: Step, stage: Stage, expected: Reply | ConnectionProblem
) -> None:
    async with Peer(banner=banner).running() as peer:
        wait = SHORT if expected is TIMEOUT else 5
        session = await relay.open(peer.hop, wait=wait)
        await session.close()
        await peer.settled()
    assert_failure(session, stage, expected)
    assert session.evidence.starttls_offered is None
    assert not peer.only.octets


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"421 4.3.2 closing\r\n", Reply(code=421, text="4.3.2 closing")),
        (b"451 4.3.0 trouble\r\n", Reply(code=451, text="4.3.0 trouble")),
        (b"550 5.7.1 no\r\n", Reply(code=550, text="5.7.1 no")),
        (b"251 odd\r\n", Reply(code=251, text="odd")),
        (b"what?\r\n", Reply(code=-1, text="what?")),
        (b"250-" + b"a" * 9000 + b"\r\n250 b\r\n", Reply(code=-1, text="Response too long")),
        (b"250-ENDLESS\r\n" * 4000, Reply(code=-1, text="Response too long")),
        (Do.SILENT, TIMEOUT),
        ((b"250-half\r\n", Do.SILENT), TIMEOUT),
        (Do.CLOSE, LOST),
        (Do.RESET, LOST),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_ehlo(relay: Relay, answer: Step, expected: Reply | ConnectionProblem) -> None:
    async with Peer(answers={"EHLO": answer}).running() as peer:
        wait = SHORT if expected is TIMEOUT else 5
        session = await relay.open(peer.hop, wait=wait)
        await session.close()
        await peer.settled()
    if isinstance(expected, Reply) and "too long" in expected.text:
        assert isinstance(session.failure, PeerRefusal)
        assert session.failure.reply.code == -1
        assert len(session.failure.reply.text) <= 2000
    else:
        assert_failure(session, Stage.EHLO, expected)
    assert session.evidence.starttls_offered is None
    assert set(peer.only.verbs) <= {"EHLO", "QUIT"}


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_a_host_that_does_not_know_ehlo_is_greeted_with_helo(relay: Relay, code: int) -> None:
    async with Peer(answers={"EHLO": b"%d what?\r\n" % code}).running() as peer:
        session = await relay.open(peer.hop)
        await session.close()
        await peer.settled()
    assert session.failure is None
    assert session.evidence.starttls_offered is False
    assert peer.only.verbs == ["EHLO", "HELO", "QUIT"]


async def test_nobody_listens(relay: Relay) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hop = Hop(host=HOST, address="127.0.0.1", port=unused.getsockname()[1])
        session = await relay.open(hop)
    assert session.failure == ConnectionFailure(
        problem=ConnectionProblem.REFUSED, stage=Stage.NOT_CONNECTED, detail="Connection refused"
    )
    await session.close()
    record = session.record()
    assert record.evidence is None
    assert record.peer == f"127.0.0.1:{hop.port}"


async def test_no_connection_in_time(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()

    async def never(*_: object) -> None:
        await loop.create_future()

    monkeypatch.setattr(loop, "sock_connect", never)
    session = await relay.open(Hop(host=HOST, address="10.0.0.1", port=25), wait=SHORT)
    assert isinstance(session.failure, ConnectionFailure)
    assert session.failure.problem is TIMEOUT
    assert session.failure.stage is Stage.NOT_CONNECTED


@pytest.mark.parametrize(
    "address",
    ["192.0.2.1", "8.8.8.8", "2001:db8::1", "169.254.1.1", "fe80::1", "224.0.0.1", "0.0.0.0", "::",
     "::ffff:8.8.8.8", "255.255.255.255", "mx.peer.test", ""],
)  # fmt: skip
async def test_an_address_off_this_machine_is_not_connected_to(
    relay: Relay, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unexpected(*_: object, **__: object) -> None:
        raise AssertionError("a socket was made")

    hop = Hop(host=HOST, address=address, port=25)
    # Not longer than that: a loop makes sockets of its own when it ends.
    with monkeypatch.context() as patched:
        patched.setattr("relay.outbound.connect.socket.socket", unexpected)
        patched.setattr("relay.outbound.connect.socket.getaddrinfo", unexpected)
        session = await relay.open(hop)
    assert isinstance(session.failure, LocalRefusal)
    assert session.failure.problem is LocalProblem.HOST_NOT_ALLOWED


async def test_external_hosts_when_allowed(relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    async def unreachable(_: object, address: object) -> None:
        asked.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", unreachable)
    hop = Hop(host=HOST, address="192.0.2.1", port=25)
    session = await relay.open(hop, allow_external=True)
    assert asked == [("192.0.2.1", 25)]
    assert isinstance(session.failure, ConnectionFailure)
    assert session.failure.problem is ConnectionProblem.UNREACHABLE


@pytest.mark.parametrize("port", [-1, 65_536])
async def test_a_port_out_of_range(relay: Relay, port: int) -> None:
    session = await relay.open(Hop(host=HOST, address="127.0.0.1", port=port))
    assert isinstance(session.failure, ConnectionFailure)
    assert session.failure.stage is Stage.NOT_CONNECTED
