"""How many sessions there may be at a time: in all, and with one host.

A host that accepts connections and then says nothing keeps each of its sessions until a time-out.
The bound for one host leaves slots for the others meanwhile.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count
from typing import TypeAlias

from relay.core.routing import Hop

_Host: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    ticket: int
    host: _Host
    granted: asyncio.Future[None]


class Slots:
    """Slots for sessions; of those who wait and could have one, the first to come is served first.

    A slot that was had, by `take` or by `wait`, is to be given back.
    """

    def __init__(self, *, in_all: int, per_host: int) -> None:
        self._in_all = in_all
        self._per_host = per_host
        self._held = 0
        self._held_with: Counter[_Host] = Counter()
        self._tickets = count()
        self._waiting: dict[_Host, deque[_Waiting]] = {}

    def take(self, hop: Hop) -> bool:
        """Take a slot with this host if there is one now, and nobody waits for it."""
        host = (hop.address, hop.port)
        if host in self._waiting or not self._is_free(host):
            return False
        self._hold(host)
        return True

    async def wait(self, hop: Hop) -> None:
        """Return when a slot with this host was taken."""
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(next(self._tickets), (hop.address, hop.port), granted)
        self._waiting.setdefault(waiting.host, deque()).append(waiting)
        self._serve()
        try:
            await granted
        except asyncio.CancelledError:
            if granted.cancelled():
                self._forget(waiting)
            else:
                self.give_back(hop)
            raise

    def give_back(self, hop: Hop) -> None:
        """Give back a slot with this host."""
        host = (hop.address, hop.port)
        self._held -= 1
        self._held_with[host] -= 1
        if not self._held_with[host]:
            del self._held_with[host]
        if self._waiting:
            self._serve()

    @property
    def left(self) -> int:
        """How many more sessions there may be."""
        return self._in_all - self._held

    def left_with(self, hop: Hop) -> int:
        """How many more sessions there may be with this host."""
        return self._per_host - self._held_with[hop.address, hop.port]

    def _is_free(self, host: _Host) -> bool:
        return self._held < self._in_all and self._held_with[host] < self._per_host

    def _hold(self, host: _Host) -> None:
        self._held += 1
        self._held_with[host] += 1

    def _serve(self) -> None:
        while served := [line[0] for host, line in self._waiting.items() if self._is_free(host)]:
            first = min(served, key=lambda waiting: waiting.ticket)
            self._forget(first)
            if not first.granted.cancelled():
                self._hold(first.host)
                first.granted.set_result(None)

    def _forget(self, waiting: _Waiting) -> None:
        line = self._waiting.get(waiting.host, deque())
        if waiting in line:
            line.remove(waiting)
            if not line:
                del self._waiting[waiting.host]
