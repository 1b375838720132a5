"""The TCP connection to a hop, or the reason why there is none."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from functools import lru_cache
from typing import Any, Final, NamedTuple

from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    LocalProblem,
    LocalRefusal,
    Stage,
)
from relay.core.routing import Hop
from relay.lookup.locality import stays_local

_REFUSED: Final = frozenset({errno.ECONNREFUSED})
_LOST: Final = frozenset({errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE})


def refuse_unless_allowed(hop: Hop, *, allow_external: bool) -> LocalRefusal | None:
    """Return why `hop` may not be connected to: it is off this machine and its private network."""
    if allow_external or _is_near(hop.address):
        return None
    return LocalRefusal(
        problem=LocalProblem.HOST_NOT_ALLOWED,
        detail=f"{hop} is neither loopback nor in a private range",
    )


_is_near: Final = lru_cache(1024)(stays_local)


async def connect_to(hop: Hop, *, within: float) -> socket.socket | ConnectionFailure:
    """Return a connected socket; `within` counts seconds. The address must be numeric."""
    sock: socket.socket | None = None
    try:
        where = _numeric(hop.address, hop.port)
        sock = socket.socket(where.family, where.kind, where.protocol)
        sock.setblocking(False)
        async with asyncio.timeout(within):
            await asyncio.get_running_loop().sock_connect(sock, where.address)
    except (OSError, OverflowError) as error:
        if sock is not None:
            sock.close()
        return _failure(error)
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    return sock


class _Where(NamedTuple):
    """What the system makes and connects a socket by."""

    family: int
    kind: int
    protocol: int
    address: tuple[Any, ...]


@lru_cache(1024)
def _numeric(address: str, port: int) -> _Where:
    """Return where a numeric address is; OSError or OverflowError where it is none."""
    family, kind, protocol, _, sockaddr = socket.getaddrinfo(
        address, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
    )[0]
    return _Where(family, kind, protocol, sockaddr)


def _failure(error: OSError | OverflowError) -> ConnectionFailure:
    number = getattr(error, "errno", None)
    if isinstance(error, TimeoutError):
        problem, detail = ConnectionProblem.TIMEOUT, "no connection in time"
    else:
        detail = os.strerror(number) if number and number > 0 else "not an address and port"
        if number in _REFUSED:
            problem = ConnectionProblem.REFUSED
        elif number in _LOST:
            problem = ConnectionProblem.LOST
        else:
            problem = ConnectionProblem.UNREACHABLE
    return ConnectionFailure(problem=problem, stage=Stage.NOT_CONNECTED, detail=detail)
