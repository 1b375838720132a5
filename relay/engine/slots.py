"""How many sessions there may be at a time: in all, and with one host.

A host that accepts connections and then says nothing keeps each of its sessions until a time-out.
The bound for one host leaves slots for the others meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from relay.core.routing import Hop


@dataclass(slots=True)
class _Host:
    free: asyncio.Semaphore
    users: int = 0
    held: int = 0


class Slots:
    """Slots for sessions; those who wait are served in their order."""

    def __init__(self, *, in_all: int, per_host: int) -> None:
        self._free = asyncio.Semaphore(in_all)
        self._in_all = in_all
        self._per_host = per_host
        self._held = 0
        self._hosts: dict[tuple[str, int], _Host] = {}

    @contextlib.asynccontextmanager
    async def hold(self, hop: Hop) -> AsyncIterator[None]:
        """Wait for a slot with this host, and give it back at the end."""
        key = (hop.address, hop.port)
        host = self._hosts.setdefault(key, _Host(asyncio.Semaphore(self._per_host)))
        host.users += 1
        try:
            async with host.free, self._free:
                self._held += 1
                host.held += 1
                try:
                    yield
                finally:
                    self._held -= 1
                    host.held -= 1
        finally:
            host.users -= 1
            if not host.users:
                del self._hosts[key]

    @property
    def left(self) -> int:
        """How many more sessions there may be."""
        return self._in_all - self._held

    def left_with(self, hop: Hop) -> int:
        """How many more sessions there may be with this host."""
        host = self._hosts.get((hop.address, hop.port))
        return self._per_host - (host.held if host is not None else 0)
