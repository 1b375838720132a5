"""The mail exchangers of one domain: receivers on 127.0.0.2, 127.0.0.3, ... that share a port.

MX records name no port, so that several exchangers can only differ in address. A member is a
scenario of the lab, a greeting that the host says no with, or nothing: no host listens there.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from e2e_ports import free_port

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.received import ReceivedMessage, ReceivedSession

Member = str | bytes | None


@dataclass
class Exchanger:
    """One member; `name` is what its certificate bears, if it is the first to have that one."""

    member: Member
    name: str
    address: str
    lab: Lab
    greeted: list[str] = field(default_factory=list)
    """What clients answered to a greeting that says no."""

    @property
    def sessions(self) -> tuple[ReceivedSession, ...]:
        return self.lab.received(self.member) if isinstance(self.member, str) else ()

    @property
    def messages(self) -> tuple[ReceivedMessage, ...]:
        return self.lab.messages(self.member) if isinstance(self.member, str) else ()

    async def idle(self) -> None:
        """Return when its sessions are over and recorded."""
        if isinstance(self.member, str):
            await self.lab.wait_until_idle(self.member)


@dataclass
class Cluster:
    port: int
    exchangers: list[Exchanger]

    def records(self, domain: str, *preferences: int) -> dict[str, list[str]]:
        """Return the zone; without preferences, 10, 20, 30 ... in the members' order."""
        numbers = preferences or [10 * at for at in range(1, len(self.exchangers) + 1)]
        pairs = list(zip(numbers, self.exchangers, strict=True))
        return {
            domain: [f"MX {number} {exchanger.name}." for number, exchanger in pairs],
            **{exchanger.name: [f"A {exchanger.address}"] for exchanger in self.exchangers},
        }

    async def took(self) -> list[int]:
        """Return how many messages each member has taken, once all of them are idle."""
        for exchanger in self.exchangers:
            await exchanger.idle()
        return [len(exchanger.messages) for exchanger in self.exchangers]


@contextlib.asynccontextmanager
async def cluster(authority: LabAuthority, members: Sequence[Member]) -> AsyncIterator[Cluster]:
    addresses = [f"127.0.0.{2 + at}" for at in range(len(members))]
    async with contextlib.AsyncExitStack() as stack:
        port = free_port(addresses)
        exchangers: list[Exchanger] = []
        for at, (member, address) in enumerate(zip(members, addresses, strict=True)):
            name = f"mx{at + 1}.peer.test"
            ports = {member: port} if isinstance(member, str) else {}
            lab = Lab(authority, now=lambda: datetime.now(UTC), bind=address, ports=ports)
            await stack.enter_async_context(lab)
            exchanger = Exchanger(member=member, name=name, address=address, lab=lab)
            if isinstance(member, str):
                certified = (await lab.address(member)).name
                if all(other.name != certified for other in exchangers):
                    exchanger.name = certified
            elif member is not None:
                await _refuse(stack, exchanger, member, port)
            exchangers.append(exchanger)
        yield Cluster(port=port, exchangers=exchangers)


async def _refuse(
    stack: contextlib.AsyncExitStack, exchanger: Exchanger, greeting: bytes, port: int
) -> None:
    """Greet every client so, and keep what it says until it goes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            writer.write(greeting)
            await writer.drain()
            while line := await reader.readline():
                exchanger.greeted.append(line.decode("ascii", "replace").strip())
                if line.upper().startswith(b"QUIT"):
                    break
        writer.close()

    server = await asyncio.start_server(serve, exchanger.address, port)
    stack.push_async_callback(server.wait_closed)
    stack.callback(server.close)
