"""A name server for tests: UDP and TCP on one free port, with records and troubles typed in.

A name without records does not exist. Troubles go by name: SERVFAIL, no answer at all, an answer
too large for UDP.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from enum import Enum, unique

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from relay.core.routing import NameServer


@unique
class Trouble(Enum):
    SERVFAIL = "servfail"
    REFUSED = "refused"
    SILENT = "silent"
    TRUNCATED = "truncated"
    """Over UDP the answer is cut short, so that it must be asked for over TCP."""


class DnsDouble:
    """`records` map a name to lines such as 'MX 10 mx1.peer.test.' or 'A 127.0.0.2'.

    Both may be changed while it runs. `asked` lists the questions as 'NAME TYPE'.
    """

    def __init__(
        self, records: Mapping[str, list[str]], troubles: Mapping[str, Trouble] | None = None
    ) -> None:
        self.records = dict(records)
        self.troubles = dict(troubles or {})
        self.asked: list[str] = []
        self.server = NameServer(address="127.0.0.1")

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[DnsDouble]:
        tcp, udp, port = await self._bind()
        self.server = NameServer(address="127.0.0.1", port=port)
        try:
            yield self
        finally:
            udp.close()
            tcp.close()
            await tcp.wait_closed()

    async def _bind(self) -> tuple[asyncio.Server, asyncio.DatagramTransport, int]:
        """Take a port that is free for both; what is free for one may be taken for the other."""
        loop = asyncio.get_running_loop()
        while True:
            tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
            port = tcp.sockets[0].getsockname()[1]
            try:
                udp, _ = await loop.create_datagram_endpoint(
                    lambda: _Datagrams(self), local_addr=("127.0.0.1", port)
                )
            except OSError:
                tcp.close()
                await tcp.wait_closed()
            else:
                return tcp, udp, port

    def answer(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        query = dns.message.from_wire(wire)
        (question,) = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        self.asked.append(f"{name} {question.rdtype.name}")
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        match self.troubles.get(name):
            case Trouble.SILENT:
                return None
            case Trouble.SERVFAIL:
                response.set_rcode(dns.rcode.SERVFAIL)
            case Trouble.REFUSED:
                response.set_rcode(dns.rcode.REFUSED)
            case Trouble.TRUNCATED if not over_tcp:
                response.flags |= dns.flags.TC
            case _:
                self._fill(response, name, question.rdtype)
        return response.to_wire()

    def _fill(
        self, response: dns.message.Message, name: str, kind: dns.rdatatype.RdataType
    ) -> None:
        if name not in self.records:
            response.set_rcode(dns.rcode.NXDOMAIN)
            return
        for line in self.records[name]:
            its_kind, _, data = line.partition(" ")
            if its_kind in {kind.name, "CNAME"}:
                response.answer.append(dns.rrset.from_text(f"{name}.", 0, "IN", its_kind, data))
            if its_kind == "CNAME":
                self._fill(response, data.removesuffix("."), kind)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                size = int.from_bytes(await reader.readexactly(2))
                answer = self.answer(await reader.readexactly(size), over_tcp=True)
                if answer is not None:
                    writer.write(len(answer).to_bytes(2) + answer)
                    await writer.drain()
        writer.close()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, double: DnsDouble) -> None:
        self._double = double

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._double.answer(data, over_tcp=False)
        if answer is not None:
            self._transport.sendto(answer, addr)
