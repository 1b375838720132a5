"""One listening receiver: its server, its sessions, and what it has received."""

from __future__ import annotations

import asyncio
import logging
import secrets
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address
from typing import Final, NamedTuple, assert_never

from relay.core.ids import IdMaker
from relay.core.routing import HostAddress
from relay.core.scenarios import ReachedBy
from relay.core.transcripts import TranscriptLog
from relay.lab.authority import IssuedCertificate
from relay.lab.fault_overlay import Decide
from relay.lab.received import ReceivedMessage, SessionRecord, SessionStore
from relay.lab.receiver import ReceiverSession
from relay.lab.recipients import Tries
from relay.lab.scripts import LabScenario, ServeLegacyTls, ServeTls
from relay.lab.server_tls import server_context
from relay.lab.tls_layer import OpenSslLayer, TlsLayer
from relay.lab.wire import SmtpWire

_CLOSE_SECONDS: Final = 0.5

_log: Final = logging.getLogger(__name__)


class _Context(NamedTuple):
    """A context, and the certificates that it was made for."""

    issued: IssuedCertificate
    named: IssuedCertificate | None
    context: ssl.SSLContext


Certificate = Callable[[str], IssuedCertificate]
"""Returns what a receiver shows that listens on the given address."""


class ScenarioListener:
    """Listens for one scenario.

    `certificates` are shown in turn, handshake by handshake; none for a receiver without TLS.
    `named_certificate` is shown instead to clients that send the host's name, None for no other.
    `decide` has the fault scripts' say at each phase of a session.
    """

    def __init__(
        self,
        scenario: LabScenario,
        *,
        certificates: Sequence[Certificate],
        named_certificate: Certificate | None = None,
        decide: Decide,
        now: Callable[[], datetime],
        changed: Callable[[], None],
        idle_seconds: float,
    ) -> None:
        self._scenario = scenario
        self._certificates = certificates
        self._named_certificate = named_certificate
        self._decide = decide
        self._tries = Tries()
        self._address = ""
        self._handshakes = 0
        self._now = now
        self._changed = changed
        self._idle_seconds = idle_seconds
        self._make_id = IdMaker(secrets.token_bytes)
        self._store = SessionStore()
        self._server: asyncio.Server | None = None
        self._contexts: dict[int, _Context] = {}
        self._sessions: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._open_sessions = 0
        self._closed = False

    @property
    def store(self) -> SessionStore:
        """What was received."""
        return self._store

    @property
    def idle(self) -> bool:
        """Whether no session is open."""
        return self._open_sessions == 0

    @property
    def listens(self) -> bool:
        """Whether connections are accepted."""
        return self._server is not None and self._server.is_serving()

    async def start(self, bind: str, port: int) -> HostAddress:
        """Listen, and return where; raise OSError where that is not possible."""
        self._server = await asyncio.start_server(self._connected, bind, port, start_serving=False)
        address, bound_port = self._server.sockets[0].getsockname()[:2]
        if (bound := ip_address(address)).is_unspecified:
            address = "127.0.0.1" if bound.version == 4 else "::1"
        self._address = address
        await self._server.start_serving()
        card = self._scenario.card
        name = address if card.reached_by is ReachedBy.ADDRESS else card.host
        return HostAddress(name=name, address=address, port=bound_port, mode=card.mode)

    def reset(self) -> None:
        """Forget what was received and who tried, and begin the certificates' turns anew."""
        self._store.clear()
        self._tries.clear()
        self._handshakes = 0

    async def close(self) -> None:
        """Stop listening and end every session at once."""
        if self._server is None:
            return
        self._closed = True
        self._server.close()
        for task, writer in self._sessions.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._server.wait_closed()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._closed:
            # Accepted just before the server closed.
            writer.transport.abort()
            return
        self._open_sessions += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._sessions[task] = writer
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        del self._sessions[task]
        self._open_sessions -= 1
        if not task.cancelled() and (error := task.exception()):
            _log.error("a session of the lab's receiver %s broke", self._name, exc_info=error)
        self._changed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        started_at = self._now()
        peer = _peer(writer)
        record = SessionRecord(
            session_id=self._make_id(started_at),
            receiver=self._name,
            peer=peer,
            started_at=started_at,
            log=TranscriptLog(self._now),
        )
        self._store.add(record)
        wire = SmtpWire(
            reader,
            writer,
            log=record.log,
            overheard=record.overheard,
            octets=record.octets,
            idle_seconds=self._idle_seconds,
        )

        def keep(message: ReceivedMessage) -> None:
            self._store.keep(record, message)
            self._changed()

        try:
            await ReceiverSession(
                wire,
                self._scenario,
                record,
                make_tls=self._make_tls,
                decide=self._decide,
                tries=self._tries,
                client=peer.rpartition(":")[0],
                now=self._now,
                keep=keep,
            ).run()
        finally:
            wire.abort()
            record.ended_at = self._now()

    @property
    def _name(self) -> str:
        return self._scenario.card.name

    def _make_tls(self, script: ServeTls | ServeLegacyTls) -> TlsLayer:
        """Return the next handshake's layer, its certificate still as its recipe wants it."""
        turn = self._handshakes % len(self._certificates)
        self._handshakes += 1
        issued = self._certificates[turn](self._address)
        match script:
            case ServeTls():
                return OpenSslLayer(self._context(turn, issued, script))
            case ServeLegacyTls():
                # An optional library; the lab has made sure that it is there.
                from relay.lab.legacy_tls import LegacyLayer

                return LegacyLayer(issued, script)
            case _:
                assert_never(script)

    def _context(self, turn: int, issued: IssuedCertificate, script: ServeTls) -> ssl.SSLContext:
        named = self._named_certificate(self._address) if self._named_certificate else None
        known = self._contexts.get(turn)
        if known is None or known.issued is not issued or known.named is not named:
            context = server_context(
                issued,
                script,
                host=self._scenario.card.host,
                named=server_context(named, script) if named else None,
            )
            known = self._contexts[turn] = _Context(issued, named, context)
        return known.context


def _peer(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    if not name:
        # The client was gone before the session began.
        return "unknown"
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
