"""What `/readyz` asks: whether everything that should listen does. Light to import."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from relay.core.routing import NameServer
from relay.lab.lab import Lab

Readiness = Callable[[], Awaitable[Sequence[str]]]
"""Returns what is not ready yet, as short phrases; nothing where all is."""

_CONNECT_SECONDS: Final = 2.0


def lab_readiness(lab: Lab, name_server: NameServer | None = None) -> Readiness:
    """Return the check of a lab: each receiver that was started listens, the name server accepts.

    No receiver is connected to, for it would record a session that no client had.
    """

    async def missing() -> list[str]:
        found = [f"lab/{name} does not listen" for name in lab.deaf]
        if name_server is not None and not await _accepts(name_server):
            found.append(f"the name server on {name_server} does not accept")
        return found

    return missing


async def _accepts(server: NameServer) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(server.address, server.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
