"""Hosts whose addresses were asked for a moment ago, so that volume asks the system but rarely."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from relay.core.destinations import ToHost
from relay.core.outcomes import Failure
from relay.lookup.resolver import Answers, HostResolver

REMEMBERED: Final = timedelta(seconds=5)
"""Short enough that whoever changes an address by hand does not notice."""
MOST_REMEMBERED: Final = 1000
"""Hosts; when there are more, all are asked for anew."""


class RememberedHosts:
    """Answers as `hosts` does, or did a moment ago; failures are not remembered."""

    def __init__(self, hosts: HostResolver) -> None:
        self._hosts = hosts
        self._known: dict[ToHost, tuple[float, Answers]] = {}

    async def resolve(self, to: ToHost) -> Answers | Failure:
        """Return the host's addresses, or why there are none."""
        now = asyncio.get_running_loop().time()
        known = self._known.get(to)
        if known is not None and now < known[0]:
            return known[1]
        answers = await self._hosts.resolve(to)
        if isinstance(answers, tuple):
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[to] = (now + REMEMBERED.total_seconds(), answers)
        return answers
