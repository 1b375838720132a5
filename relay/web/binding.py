"""The management port's socket, which listens before the server is loaded.

Who connects meanwhile waits in the socket's queue. Only the standard library is imported here.
"""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import dataclass
from typing import Final

_BACKLOG: Final = 128


class WebListenError(Exception):
    """The management port can't be opened; the text is one clear sentence."""

    def __init__(self, *, host: str, port: int, why: str) -> None:
        super().__init__(f"cannot listen on {_place(host, port)} (web): {why}")
        self.host = host
        self.port = port


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """A socket that listens: `host` is numeric, `port` the real one. A server will close it.

    `tls` says that HTTPS is spoken.
    """

    socket: socket.socket
    host: str
    port: int
    tls: bool = False

    @property
    def url(self) -> str:
        """Where a client on this machine finds it."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104
        return f"{'https' if self.tls else 'http'}://{_place(reachable, self.port)}"


def bind(host: str, port: int, *, tls: bool = False) -> Bound:
    """Listen on a host's first address; port 0 takes any free one. Raises WebListenError."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror:
        raise WebListenError(host=host, port=port, why="this machine has no such address") from None
    family, _, _, _, where = found[0]
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name == "posix":
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(where)
        bound.listen(_BACKLOG)
    except OSError as error:
        bound.close()
        raise WebListenError(host=host, port=port, why=_reason(error)) from None
    address, real_port = bound.getsockname()[:2]
    return Bound(socket=bound, host=address, port=real_port, tls=tls)


def _reason(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "another program uses this port"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address"
        case errno.EACCES | errno.EPERM:
            return "the system does not permit it; ports below 1024 often need privileges"
        case None:
            return "the system refuses it"
        case code:
            return os.strerror(code).lower()


def _place(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
