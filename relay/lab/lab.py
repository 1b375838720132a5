"""The lab: receivers that start when first asked for, and what they have received."""

from __future__ import annotations

import asyncio
import secrets
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from types import MappingProxyType, TracebackType
from typing import Final, Self

from relay.core.ids import ENTROPY_BITS, make_id
from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.core.transcripts import TranscriptLog
from relay.lab.authority import IssuedCertificate, LabAuthority
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS, find_scenario
from relay.lab.received import ReceivedMessage, ReceivedSession, SessionRecord, SessionStore
from relay.lab.receiver import ReceiverSession
from relay.lab.recipes import shipped_recipes
from relay.lab.scripts import LabScenario, ServeTls
from relay.lab.server_tls import missing_version, server_context
from relay.lab.wire import SmtpWire

IDLE_SECONDS: Final = 300.0
"""How long a client may stay silent; RFC 5321 section 4.5.3.2.7 asks for five minutes."""
_CLOSE_SECONDS: Final = 0.5


class ScenarioUnavailable(Exception):  # noqa: N818 - a fact about this machine, not a mistake
    """This machine can't run the scenario; the text says why."""


class LabPortError(Exception):
    """A receiver can't listen where it was told to; the text says where and why."""


class _Receiver:
    """One listening receiver and its sessions."""

    def __init__(self, scenario: LabScenario, lab: Lab) -> None:
        self.scenario = scenario
        self.store = SessionStore()
        self._lab = lab
        self._server: asyncio.Server | None = None
        self._context: tuple[IssuedCertificate, ssl.SSLContext] | None = None
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, bind: str, port: int) -> HostAddress:
        self._server = await asyncio.start_server(self._connected, bind, port)
        return HostAddress(
            name=self.scenario.card.host,
            address=bind,
            port=self._server.sockets[0].getsockname()[1],
            mode=TlsMode.STARTTLS,
        )

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._sessions.values():
            writer.transport.abort()
        for task in self._sessions:
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        if self._server is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._sessions[task] = writer
        task.add_done_callback(self._sessions.pop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        now = self._lab.now
        started_at = now()
        record = SessionRecord(
            session_id=make_id(started_at, secrets.randbits(ENTROPY_BITS)),
            receiver=self.scenario.card.name,
            peer="{}:{}".format(*writer.get_extra_info("peername")[:2]),
            started_at=started_at,
            log=TranscriptLog(now),
        )
        self.store.add(record)
        wire = SmtpWire(
            reader,
            writer,
            log=record.log,
            octets=record.octets,
            idle_seconds=IDLE_SECONDS,
        )
        session = ReceiverSession(
            wire,
            self.scenario,
            record,
            server_context=self._server_context,
            now=now,
            changed=self._changed,
        )
        try:
            await session.run()
        finally:
            wire.abort()
            record.ended_at = now()
            self._changed()

    def _changed(self) -> None:
        self.store.trim()
        self._lab.notify()

    def _server_context(self, script: ServeTls) -> ssl.SSLContext:
        """Return a context with a certificate that is still as its recipe wants it."""
        card = self.scenario.card
        assert card.recipe is not None
        issued = self._lab.authority.issue(shipped_recipes()[card.recipe], card.host)
        if self._context is None or self._context[0] is not issued:
            self._context = (issued, server_context(issued, script))
        return self._context[1]


class Lab:
    """All receivers; an asynchronous context manager that closes them at its end.

    `ports` gives fixed ports by scenario name (`capture` for the capture receiver); all others are
    the system's choice. A receiver starts when its address is first asked for.
    """

    def __init__(
        self,
        authority: LabAuthority,
        *,
        now: Callable[[], datetime],
        bind: str = "127.0.0.1",
        ports: Mapping[str, int] = MappingProxyType({}),
    ) -> None:
        self.authority = authority
        self.now = now
        self._bind = bind
        self._ports = ports
        self._receivers: dict[str, _Receiver] = {}
        self._endpoints: dict[str, HostAddress] = {}
        self._starting = asyncio.Lock()
        self._change = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop every receiver and end its sessions; what was received stays readable."""
        async with self._starting:
            self._closed = True
            self._endpoints.clear()
            await asyncio.gather(*(receiver.close() for receiver in self._receivers.values()))

    @property
    def endpoints(self) -> Mapping[str, HostAddress]:
        """Where the running receivers listen, by scenario name."""
        return MappingProxyType(self._endpoints)

    async def address(self, name: str) -> HostAddress:
        """Return where a scenario's receiver listens, starting it if need be.

        Raises UnknownScenario, ScenarioUnavailable or LabPortError.
        """
        return await self._start(find_scenario(name))

    async def capture_address(self) -> HostAddress:
        """Return where the capture receiver listens, starting it if need be."""
        return await self._start(CAPTURE)

    async def start_all(self) -> Mapping[str, HostAddress]:
        """Start the capture receiver and every scenario that this machine can run."""
        await self.capture_address()
        for name in LAB_SCENARIOS:
            with suppress(ScenarioUnavailable):
                await self.address(name)
        return self.endpoints

    def received(self, name: str) -> tuple[ReceivedSession, ...]:
        """Return the sessions of a receiver, the oldest first; none if it never started.

        Raises UnknownScenario.
        """
        receiver = self._receivers.get(self._known(name))
        return receiver.store.snapshot() if receiver else ()

    def messages(self, name: str) -> tuple[ReceivedMessage, ...]:
        """Return the messages that a receiver took, the oldest first; raise UnknownScenario."""
        return tuple(message for session in self.received(name) for message in session.messages)

    def reset(self) -> None:
        """Forget everything that was received; receivers go on."""
        for receiver in self._receivers.values():
            receiver.store.clear()

    async def wait_for_message(
        self,
        name: str,
        *,
        where: Callable[[ReceivedMessage], bool] = lambda _: True,
        within: float = 5.0,
    ) -> ReceivedMessage:
        """Return the first message that `where` accepts; TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            while True:
                for message in self.messages(name):
                    if where(message):
                        return message
                await self._change.wait()

    async def wait_until_idle(self, name: str, *, within: float = 5.0) -> None:
        """Return when no session of a receiver is open, so that its record is complete.

        Raises TimeoutError after `within` seconds.
        """
        async with asyncio.timeout(within):
            while True:
                receiver = self._receivers.get(self._known(name))
                if receiver is None or receiver.store.all_ended:
                    return
                await self._change.wait()

    def notify(self) -> None:
        """Wake whoever waits for a change; receivers call it."""
        self._change.set()
        self._change = asyncio.Event()

    @staticmethod
    def _known(name: str) -> str:
        return name if name == CAPTURE.card.name else find_scenario(name).card.name

    async def _start(self, scenario: LabScenario) -> HostAddress:
        name = scenario.card.name
        async with self._starting:
            if self._closed:
                raise RuntimeError("the lab is closed")
            if name in self._endpoints:
                return self._endpoints[name]
            match scenario.script.handshake:
                case ServeTls() as script if version := missing_version(script):
                    raise ScenarioUnavailable(
                        f"{name} needs {version.label}, which this Python's OpenSSL "
                        f"({ssl.OPENSSL_VERSION}) was built without"
                    )
            receiver = _Receiver(scenario, self)
            port = self._ports.get(name, 0)
            try:
                address = await receiver.start(self._bind, port)
            except OSError as error:
                raise LabPortError(
                    f"the lab's receiver {name} can't listen on {self._bind}:{port}: "
                    f"{error.strerror}"
                ) from error
            self._receivers[name] = receiver
            self._endpoints[name] = address
            return address
