"""Listeners on free ports, and a client that says exactly what it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from relay.core.codebook import CodeEntry
from relay.core.delivery import BareLineEnds
from relay.core.records import Session
from relay.inbound.credentials import Credentials, ScryptHash
from relay.inbound.incoming import Incoming, ListenerKind, RefuseRecipient, any_recipient
from relay.inbound.limits import InboundLimits
from relay.inbound.listeners import Endpoint, ListenerConfig, Listeners

HOSTNAME = "relay.test"
TAKEN = CodeEntry.parse("250 2.0.0 Ok: taken")
USERS = Credentials(
    users={
        "app": "opensesame",
        "hashed": ScryptHash.of("opensesame", salt=b"salt", n=16),
    }
)


@dataclass
class HeldAnswer:
    """Answers when it may `go_on`; `begun` is released by each message that waits for it."""

    begun: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, _: Incoming) -> CodeEntry:
        self.begun.release()
        await self.go_on.wait()
        return TAKEN


@dataclass
class Client:
    """A raw connection. It has no opinion on SMTP beyond reply lines."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, octets: bytes | str) -> None:
        self.writer.write(octets.encode() if isinstance(octets, str) else octets)
        await self.writer.drain()

    async def line(self) -> str:
        line = await self.reader.readline()
        assert line.endswith(b"\r\n"), f"the server closed; last octets {line!r}"
        return line[:-2].decode("ascii")

    async def reply(self) -> str:
        lines = [await self.line()]
        while lines[-1][3:4] == "-":
            lines.append(await self.line())
        return "\n".join(lines)

    async def say(self, command: bytes | str) -> str:
        await self.send(command if isinstance(command, bytes) else f"{command}\r\n")
        return await self.reply()

    async def say_all(self, *commands: str) -> str:
        """Say one after the other; the last reply."""
        reply = ""
        for command in commands:
            reply = await self.say(command)
        return reply

    async def begin_message(self) -> None:
        """Up to the 354."""
        reply = await self.say_all(
            "EHLO client.test", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA"
        )
        assert reply.startswith("354 ")

    async def secure(self, context: ssl.SSLContext) -> None:
        await self.writer.start_tls(context, server_hostname=HOSTNAME)

    async def closed(self) -> None:
        """Return when the server has closed; fail if it says more first."""
        with contextlib.suppress(ConnectionError):
            assert await self.reader.read() == b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self.writer.wait_closed()


@dataclass
class House:
    """A relay's front, with what came of it."""

    server_context: ssl.SSLContext
    client_context: ssl.SSLContext
    limits: InboundLimits = field(default_factory=InboundLimits)
    credentials: Credentials = USERS
    bare_line_ends: BareLineEnds = BareLineEnds.REFUSE
    refuse_recipient: RefuseRecipient = any_recipient
    answer: Callable[[Incoming], object] | None = None
    record_error: Exception | None = None
    accepted: list[Incoming] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    clients: list[Client] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ended = asyncio.Condition()
        numbers = itertools.count(1)
        self.listeners = Listeners(
            accept=self._accept,
            session_sink=self._record,
            server_context=self.server_context,
            hostname=HOSTNAME,
            limits=self.limits,
            credentials=self.credentials,
            now=lambda: datetime.now(UTC),
            new_id=lambda: f"id{next(numbers)}",
            bare_line_ends=lambda: self.bare_line_ends,
            refuse_recipient=self.refuse_recipient,
        )

    async def _accept(self, incoming: Incoming) -> CodeEntry:
        if self.answer is not None:
            reply = self.answer(incoming)
            entry = await reply if asyncio.iscoroutine(reply) else reply
            assert isinstance(entry, CodeEntry)
            self.accepted.append(incoming)
            return entry
        self.accepted.append(incoming)
        return TAKEN

    async def _record(self, session: Session) -> None:
        async with self._ended:
            self.sessions.append(session)
            self._ended.notify_all()
        if self.record_error is not None:
            raise self.record_error

    async def ended(self, count: int = 1) -> Session:
        """Wait for so many sessions to have ended; return the last."""
        async with self._ended:
            await self._ended.wait_for(lambda: len(self.sessions) >= count)
        return self.sessions[-1]

    async def open(self) -> None:
        await self.listeners.start(
            [ListenerConfig(kind=kind, host="127.0.0.1", port=0) for kind in ListenerKind]
        )

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        await self.listeners.stop(10)

    def endpoint(self, kind: ListenerKind) -> Endpoint:
        return next(e for e in self.listeners.endpoints if e.kind is kind)

    async def connect(self, kind: ListenerKind = ListenerKind.SMTP) -> Client:
        """Connect and read the greeting."""
        client = await self.connect_silently(kind)
        assert (await client.reply()).startswith("220 ")
        return client

    async def connect_silently(self, kind: ListenerKind = ListenerKind.SMTP) -> Client:
        endpoint = self.endpoint(kind)
        implicit = kind is ListenerKind.SMTPS
        client = Client(
            *await asyncio.open_connection(
                endpoint.host,
                endpoint.port,
                ssl=self.client_context if implicit else None,
                server_hostname=HOSTNAME if implicit else None,
            )
        )
        self.clients.append(client)
        return client


def spoken(session: Session) -> str:
    """A session's transcript as text."""
    return "\n".join(str(line) for line in session.transcript)


OpenHouse = Callable[..., Awaitable[House]]
