"""The TCP connection to a hop, or the reason why there is none."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from typing import Final

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
    if allow_external or stays_local(hop.address):
        return None
    return LocalRefusal(
        problem=LocalProblem.HOST_NOT_ALLOWED,
        detail=f"{hop} is neither loopback nor in a private range",
    )


async def connect_to(hop: Hop, *, within: float) -> socket.socket | ConnectionFailure:
    """Return a connected socket; `within` counts seconds. The address must be numeric."""
    sock: socket.socket | None = None
    try:
        family, kind, protocol, _, sockaddr = socket.getaddrinfo(
            hop.address, hop.port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        sock = socket.socket(family, kind, protocol)
        sock.setblocking(False)
        async with asyncio.timeout(within):
            await asyncio.get_running_loop().sock_connect(sock, sockaddr)
    except (OSError, OverflowError) as error:
        if sock is not None:
            sock.close()
        return _failure(error)
    except BaseException:
        if sock is not None:
            sock.close()
        raise
    return sock


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
