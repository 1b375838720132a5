"""A scripted SMTP peer: what it answers is data, what it received is kept."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from relay.core.routing import Hop
from relay.core.settings import TlsMode

HOST = "mx.peer.test"


class Do(Enum):
    """What a peer does instead of, or after, an answer."""

    CLOSE = "close"
    RESET = "reset"
    SILENT = "silent"
    TLS = "tls"


Step = bytes | Do | Sequence["Step"]

EVERYTHING = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "STARTTLS")
GOOD = MappingProxyType(
    {
        "HELO": b"250 peer\r\n",
        "STARTTLS": (b"220 go ahead\r\n", Do.TLS),
        "MAIL": b"250 2.1.0 sender ok\r\n",
        "RCPT": b"250 2.1.5 recipient ok\r\n",
        "DATA": b"354 go ahead\r\n",
        ".": b"250 2.0.0 taken\r\n",
        "RSET": b"250 2.0.0 reset\r\n",
        "QUIT": (b"221 2.0.0 bye\r\n", Do.CLOSE),
    }
)


@dataclass
class Conversation:
    """One connection as the peer saw it; `octets` are all that it received, decrypted."""

    commands: list[str] = field(default_factory=list)
    encrypted_commands: list[str] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    octets: bytearray = field(default_factory=bytearray)
    tls: bool = False

    @property
    def verbs(self) -> list[str]:
        return [command.partition(" ")[0].upper() for command in self.commands]


class Peer:
    """Answers by the longest matching key of `answers`: the whole line, or its verb.

    `.` answers the end of data; `EHLO` is made of `extensions` (without STARTTLS once TLS stands)
    unless it has an answer of its own, and `EHLO tls` is what is answered under TLS.
    """

    def __init__(
        self,
        *,
        banner: Step = b"220 mx.peer.test ESMTP\r\n",
        answers: Mapping[str, Step] = MappingProxyType({}),
        extensions: Sequence[str] = EVERYTHING,
        context: ssl.SSLContext | None = None,
        mode: TlsMode = TlsMode.STARTTLS,
    ) -> None:
        self._banner = banner
        self._answers = {**GOOD, **answers}
        self._extensions = extensions
        self._context = context
        self._mode = mode
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0
        self.conversations: list[Conversation] = []
        self.heard = asyncio.Event()
        """Set by the first command."""

    @property
    def hop(self) -> Hop:
        return Hop(host=HOST, address="127.0.0.1", port=self._port, mode=self._mode)

    @property
    def only(self) -> Conversation:
        (conversation,) = self.conversations
        return conversation

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Peer]:
        implicit = self._context if self._mode is TlsMode.IMPLICIT else None
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=implicit)
        self._port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()

    async def settled(self) -> Peer:
        """Return when every connection is over, so that all that was sent has been received."""
        async with asyncio.timeout(5):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        conversation = Conversation(tls=self._mode is TlsMode.IMPLICIT)
        self.conversations.append(conversation)
        try:
            if await self._perform(self._banner, reader, writer, conversation):
                await self._converse(reader, writer, conversation)
        except (OSError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    async def _converse(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
    ) -> None:
        while line := await reader.readline():
            conversation.octets += line
            self.heard.set()
            command = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
            conversation.commands.append(command)
            if conversation.tls:
                conversation.encrypted_commands.append(command)
            verb = command.partition(" ")[0].upper()
            step = self._answers.get(command, self._answers.get(verb, b"500 what?\r\n"))
            if verb == "EHLO":
                step = self._ehlo(conversation)
            if not await self._perform(step, reader, writer, conversation):
                return
            if verb == "DATA" and isinstance(step, bytes) and step.startswith(b"354"):
                await self._take_data(reader, conversation)
                if not await self._perform(self._answers["."], reader, writer, conversation):
                    return

    def _ehlo(self, conversation: Conversation) -> Step:
        key = "EHLO tls" if conversation.tls else "EHLO"
        if key in self._answers:
            return self._answers[key]
        keywords = [k for k in self._extensions if not (conversation.tls and k == "STARTTLS")]
        lines = ["mx.peer.test", *keywords]
        parted = [f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"]
        return "".join(f"{line}\r\n" for line in parted).encode()

    async def _take_data(self, reader: asyncio.StreamReader, conversation: Conversation) -> None:
        lines: list[bytes] = []
        while (line := await reader.readuntil(b"\r\n")) != b".\r\n":
            conversation.octets += line
            lines.append(line)
        conversation.octets += line
        conversation.messages.append(b"".join(ln.removeprefix(b".") for ln in lines))

    async def _perform(
        self,
        step: Step,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        conversation: Conversation,
    ) -> bool:
        """Do a step; whether the connection goes on."""
        match step:
            case bytes():
                writer.write(step)
                await writer.drain()
            case Do.CLOSE:
                writer.close()
                return False
            case Do.RESET:
                writer.transport.abort()
                return False
            case Do.SILENT:
                while octets := await reader.read(65_536):
                    conversation.octets += octets
                return False
            case Do.TLS:
                assert self._context is not None
                await writer.start_tls(self._context, ssl_handshake_timeout=5)
                conversation.tls = True
            case _:
                for part in step:
                    if not await self._perform(part, reader, writer, conversation):
                        return False
        return True
