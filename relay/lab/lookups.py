"""The lab's name server beside a relay: it runs on loopback and starts when it is first needed."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from relay.core.routing import HostAddress, NameServer
from relay.lab.catalogue import DNS_SCENARIOS, RECEIVER_OF_HOST
from relay.lab.lab import Lab
from relay.lab.loading import load_name_server
from relay.lab.zone import lab_zone

if TYPE_CHECKING:
    from relay.lab.name_server import LabNameServer


class LabLookups:
    """Tells a relay whom to ask for the hosts of a scenario about DNS, and where they listen.

    `client` is the relay's host name, which `mx-loop` leads back to. An asynchronous context
    manager that ends the name server; the lab is its owner's.
    """

    def __init__(self, lab: Lab, *, client: str) -> None:
        self._lab = lab
        self._client = client
        self._starting = asyncio.Lock()
        self._server: LabNameServer | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def name_server(self, scenario: str) -> NameServer | None:
        """Return whom to ask about a scenario's domain, None where that is simply a receiver.

        The first question starts the name server and the receivers that its records lead to;
        raises ScenarioUnavailable, LabPortError or NameServerError where one can't start.
        """
        if scenario not in DNS_SCENARIOS:
            return None
        async with self._starting:
            if self._server is None:
                self._server = await self._start()
            return self._server.server

    async def host(self, name: str) -> HostAddress:
        """Return where the receiver listens that a record calls `name`, starting it if need be.

        Raises LookupError where no receiver is called so.
        """
        return replace(await self._lab.address(RECEIVER_OF_HOST[name]), name=name)

    async def _start(self) -> LabNameServer:
        await load_name_server()
        from relay.lab.name_server import LabNameServer

        hosts = {host for scenario in DNS_SCENARIOS.values() for host in scenario.hosts}
        receivers = sorted({RECEIVER_OF_HOST[host] for host in hosts})
        endpoints = {name: await self._lab.address(name) for name in receivers}
        server = LabNameServer(lab_zone(endpoints, client=self._client))
        return await self._stack.enter_async_context(server)
