"""The listeners: opened together or not at all, closed without losing what was accepted."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Final, assert_never

from relay.core.addresses import parse_domain
from relay.core.delivery import BareLineEnds
from relay.inbound.adapter import RelaySMTP
from relay.inbound.content import Buffered
from relay.inbound.credentials import Credentials
from relay.inbound.fast_start import Blueprint
from relay.inbound.incoming import (
    Accept,
    Incoming,
    ListenerKind,
    RefuseRecipient,
    SessionSink,
    any_recipient,
)
from relay.inbound.limits import InboundLimits
from relay.inbound.service import Service

__all__ = [
    "Accept",
    "Credentials",
    "Endpoint",
    "InboundLimits",
    "Incoming",
    "ListenError",
    "ListenProblem",
    "ListenerConfig",
    "ListenerKind",
    "Listeners",
    "SessionSink",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerConfig:
    """A listener to open; port 0 takes any free port. A host name stands for its first address."""

    kind: ListenerKind
    host: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A listener that accepts connections: `host` is numeric, `port` the real one."""

    kind: ListenerKind
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def tls_state(self) -> str:
        """How TLS and AUTH stand here, in a few words for people."""
        match self.kind:
            case ListenerKind.SMTP:
                return "clear, STARTTLS offered"
            case ListenerKind.SMTPS:
                return "TLS from the first octet"
            case ListenerKind.SUBMISSION:
                return "STARTTLS and AUTH required"
            case _:
                assert_never(self.kind)


@unique
class ListenProblem(Enum):
    """Why a listener can't be opened."""

    PORT_IN_USE = "port-in-use"
    NOT_PERMITTED = "not-permitted"
    NO_SUCH_ADDRESS = "no-such-address"
    ANY_CREDENTIALS = "any-credentials"
    OTHER = "other"


class ListenError(Exception):
    """A listener can't be opened; none was. The text is one clear sentence."""

    def __init__(
        self, *, kind: ListenerKind, host: str, port: int, reason: ListenProblem, detail: str = ""
    ) -> None:
        where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        super().__init__(f"cannot listen on {where} ({kind.value}): {_sentence(reason, detail)}")
        self.kind = kind
        self.host = host
        self.port = port
        self.reason = reason


def _sentence(reason: ListenProblem, detail: str) -> str:
    match reason:
        case ListenProblem.PORT_IN_USE:
            return "another program uses this port"
        case ListenProblem.NOT_PERMITTED:
            return "the system does not permit it; ports below 1024 often need privileges"
        case ListenProblem.NO_SUCH_ADDRESS:
            return "this machine has no such address"
        case ListenProblem.ANY_CREDENTIALS:
            return "any user and password are accepted, which only a loopback address may do"
        case ListenProblem.OTHER:
            return detail
        case _:
            assert_never(reason)


_PROBLEMS: Final = {
    errno.EADDRINUSE: ListenProblem.PORT_IN_USE,
    errno.EACCES: ListenProblem.NOT_PERMITTED,
    errno.EPERM: ListenProblem.NOT_PERMITTED,
    errno.EADDRNOTAVAIL: ListenProblem.NO_SUCH_ADDRESS,
}


class Listeners:
    """The listeners of one relay and the sessions in them.

    `hostname` is the name in the greeting, and the domain of `Postmaster` without one; ValueError
    where it is no domain name. `now` returns aware times; `new_id` names sessions and references.
    `bare_line_ends` is asked anew for every message, `refuse_recipient` for every recipient: what
    it returns is the reply to RCPT, and None lets the recipient pass.
    Must be started and stopped in one event loop.
    """

    def __init__(
        self,
        *,
        accept: Accept,
        session_sink: SessionSink,
        server_context: ssl.SSLContext,
        hostname: str,
        limits: InboundLimits,
        credentials: Credentials,
        now: Callable[[], datetime],
        new_id: Callable[[], str],
        bare_line_ends: Callable[[], BareLineEnds] = lambda: BareLineEnds.REFUSE,
        refuse_recipient: RefuseRecipient = any_recipient,
    ) -> None:
        self._service = Service(
            accept=accept,
            session_sink=session_sink,
            server_context=server_context,
            hostname=(name := parse_domain(hostname)),
            limits=limits,
            credentials=credentials,
            now=now,
            new_id=new_id,
            buffered=Buffered(limits.buffered),
            blueprint=Blueprint(hostname=name, size_limit=limits.message_size),
            bare_line_ends=bare_line_ends,
            refuse_recipient=refuse_recipient,
        )
        self._servers: list[asyncio.Server] = []
        self._endpoints: tuple[Endpoint, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """The open listeners, in the order in which they were asked for."""
        return self._endpoints

    @property
    def sessions(self) -> int:
        """How many sessions are in progress."""
        return len(self._service.live)

    async def start(self, configs: Sequence[ListenerConfig]) -> tuple[Endpoint, ...]:
        """Open all of them, or none: raises ListenError for the first that can't be opened.

        No connection is taken before all ports are bound.
        """
        try:
            sockets = [await self._bind(config) for config in configs]
            for server, bound, config in zip(self._servers, sockets, configs, strict=True):
                await _listen(server, bound, config)
        except BaseException:
            self._close_servers()
            raise
        self._endpoints = tuple(
            Endpoint(kind=config.kind, host=host, port=port)
            for config, (host, port) in zip(configs, map(_name_of, sockets), strict=True)
        )
        return self._endpoints

    async def stop(self, grace: float) -> None:
        """Take no more connections and end every session; returns when all are recorded.

        A session that waits for a command is told 421 4.3.2. One in the middle of a message goes on
        to its reply, for `grace` seconds at most; what is not over then is cut off.
        """
        servers = self._close_servers()
        self._endpoints = ()
        tasks = [session.task() for session in self._service.live]
        for session in self._service.live:
            session.close_soon()
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for server in servers:
            await server.wait_closed()

    async def _bind(self, config: ListenerConfig) -> socket.socket:
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(
                config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )
            family, _, _, _, where = found[0]
            address = str(where[0])
            if self._service.credentials.accepts_any and _is_public(config.kind, address):
                raise _refused(config, ListenProblem.ANY_CREDENTIALS)
            bound = _bound(family, where)
            server = await loop.create_server(
                lambda: RelaySMTP(self._service, config.kind), sock=bound, start_serving=False
            )
        except OSError as error:
            raise _failed(config, error) from None
        self._servers.append(server)
        return bound

    def _close_servers(self) -> list[asyncio.Server]:
        servers, self._servers = self._servers, []
        for server in servers:
            server.close()
        return servers


def _bound(family: socket.AddressFamily, where: tuple[object, ...]) -> socket.socket:
    # Some versions of `create_server` skip an address that is not ours and lose the reason. The
    # protocol is named because asyncio sets TCP_NODELAY only where it is.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
    except BaseException:
        bound.close()
        raise
    return bound


def _name_of(bound: socket.socket) -> tuple[str, int]:
    host, port = bound.getsockname()[:2]
    return host, port


async def _listen(server: asyncio.Server, bound: socket.socket, config: ListenerConfig) -> None:
    try:
        # Asked by us because uvloop does not tell that the port is another listener's.
        bound.listen()
        await server.start_serving()
    except OSError as error:
        raise _failed(config, error) from None


def _is_public(kind: ListenerKind, address: str) -> bool:
    return kind is not ListenerKind.SMTP and not ipaddress.ip_address(address).is_loopback


def _refused(config: ListenerConfig, reason: ListenProblem, detail: str = "") -> ListenError:
    return ListenError(
        kind=config.kind, host=config.host, port=config.port, reason=reason, detail=detail
    )


def _failed(config: ListenerConfig, error: OSError) -> ListenError:
    if isinstance(error, socket.gaierror):
        return _refused(config, ListenProblem.NO_SUCH_ADDRESS)
    code = error.errno or 0
    return _refused(
        config, _PROBLEMS.get(code, ListenProblem.OTHER), detail=os.strerror(code).lower()
    )
