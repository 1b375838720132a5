"""What a relayed message costs, in things that can be counted: no clock is asked.

`make bench` measures; these counts hold what was reached, on any machine. They are those of the
loop's thread and, for the journal, of all threads.
"""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import ssl
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
import trustme
from reliability_tls_host import TlsHost

import relay
from relay.tls.examined import ExaminedChains

WARM_UP = 5
MESSAGES = 40
CALLS = 1550
"""Calls, of Python's functions and of built-in ones, for each message: 1,410 when this was set."""
STATEMENTS = 12
"""SQL statements for each message, COMMIT and the like included: 10 when this was set."""
MESSAGE = (
    b"From: a@sender.test\r\nTo: b@peer.test\r\nSubject: one of many\r\n\r\n"
    + b"a line of some text\r\n" * 48
)


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA(key_type=trustme.KeyType.ECDSA)


@pytest.fixture
def host(authority: trustme.CA) -> Iterator[TlsHost]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", key_type=trustme.KeyType.ECDSA).configure_cert(context)
    with TlsHost(context=context).running() as running:
        yield running


@pytest.fixture
def policy(authority: trustme.CA, host: TlsHost, tmp_path: Path) -> dict[str, Any]:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    return {
        "tls": "Required Verify",
        "trust": [str(ca)],
        "relay": f"smtp://localhost:{host.port}",
        "reuse": "on",
    }


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The protocol of each TLS context that is made from here on."""
    made: list[int] = []
    new = ssl.SSLContext.__new__

    def counted(cls: type[ssl.SSLContext], protocol: int, *rest: Any) -> ssl.SSLContext:
        made.append(protocol)
        return new(cls, protocol, *rest)

    monkeypatch.setattr(ssl.SSLContext, "__new__", counted)
    return made


class Client:
    """A client in blocking sockets, for another thread: nothing of it is counted."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._read = self._socket.makefile("rb")
        assert self._reply() == "220"
        assert self._ask(b"EHLO client.test\r\n") == "250"

    def _reply(self) -> str:
        while (line := self._read.readline())[3:4] == b"-":
            pass
        return line[:3].decode()

    def _ask(self, octets: bytes) -> str:
        self._socket.sendall(octets)
        return self._reply()

    def send(self, messages: int) -> None:
        for _ in range(messages):
            assert self._ask(b"MAIL FROM:<a@sender.test>\r\n") == "250"
            assert self._ask(b"RCPT TO:<b@peer.test>\r\n") == "250"
            assert self._ask(b"DATA\r\n") == "354"
            assert self._ask(MESSAGE + b".\r\n") == "250"

    def close(self) -> None:
        self._socket.close()
        self._read.close()


async def relayed(port: int, messages: int) -> None:
    """Send messages in one session."""
    client = await asyncio.to_thread(Client, port)
    try:
        await asyncio.to_thread(client.send, messages)
    finally:
        client.close()


async def test_calls_of_a_relayed_message(policy: dict[str, Any], host: TlsHost) -> None:
    calls: Counter[str] = Counter()

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        calls[event] += 1

    async with relay.Relay(policy, lab=False) as running:
        client = await asyncio.to_thread(Client, running.port)
        await asyncio.to_thread(client.send, WARM_UP)
        sys.setprofile(count)
        try:
            await asyncio.to_thread(client.send, MESSAGES)
        finally:
            sys.setprofile(None)
            client.close()
    assert (host.messages, host.in_clear) == (WARM_UP + MESSAGES, 0)
    each = (calls["call"] + calls["c_call"]) / MESSAGES
    # Fewer than one for each command would mean that nothing was counted.
    assert 10 < each <= CALLS


async def test_with_reuse_one_handshake_and_one_analysis_serve_all(
    policy: dict[str, Any], host: TlsHost, contexts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    analysed: Counter[object] = Counter()
    recall = ExaminedChains.recall

    def counted_recall(self: ExaminedChains, key: Any, *, about: Any, at: Any, find: Any) -> Any:
        def counted() -> Any:
            analysed[key] += 1
            return find()

        return recall(self, key, about=about, at=at, find=counted)

    monkeypatch.setattr(ExaminedChains, "recall", counted_recall)
    async with relay.Relay(policy, lab=False) as running:
        await relayed(running.port, MESSAGES)
        assert (host.connections, host.handshakes, host.messages) == (1, 1, MESSAGES)
        assert {len(message.sessions) for message in running.messages} == {1}
    assert analysed
    assert set(analysed.values()) == {1}
    assert contexts.count(ssl.PROTOCOL_TLS_CLIENT) == 1


async def test_without_reuse_each_message_has_a_handshake_and_all_share_the_rest(
    policy: dict[str, Any], host: TlsHost, contexts: list[int]
) -> None:
    async with relay.Relay({**policy, "reuse": "off"}, lab=False) as running:
        await relayed(running.port, 5)
    assert (host.connections, host.handshakes, host.messages) == (5, 5, 5)
    assert contexts.count(ssl.PROTOCOL_TLS_CLIENT) == 1


async def test_statements_and_commits_of_a_relayed_message(
    policy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    connect = sqlite3.connect

    def traced(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(sqlite3, "connect", traced)
    async with relay.Relay(policy, lab=False) as running:
        client = await asyncio.to_thread(Client, running.port)
        await asyncio.to_thread(client.send, WARM_UP)
        before = len(statements)
        await asyncio.to_thread(client.send, MESSAGES)
        during = statements[before:]
        client.close()
    kinds = Counter(statement.split()[0].upper() for statement in during)
    assert 1 < len(during) / MESSAGES <= STATEMENTS, kinds
    # One before the client's 250, for the message, and one for what came of it.
    assert kinds["COMMIT"] <= 2 * MESSAGES
