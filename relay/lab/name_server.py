"""The lab's own name server: a few records, over UDP and TCP, on one address and port of loopback.

It answers for what it was given and knows nothing else: every other name does not exist.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Self, assert_never

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from relay.core.routing import NameServer
from relay.lab.dns_answers import Trouble
from relay.lab.zone import TROUBLES, Records

_LEAST_UDP: Final = 512
"""Octets that every client takes over UDP (RFC 1035 section 4.2.1)."""
_MOST_UDP: Final = 1232
"""Octets that nothing on the way breaks up, however many a client offers to take by EDNS."""
_IDLE_SECONDS: Final = 10.0
_TRIES: Final = 20


class NameServerError(Exception):
    """The name server can't listen where it was told to; the text says where and why."""


class _Question(NamedTuple):
    name: dns.name.Name
    kind: dns.rdatatype.RdataType


class LabNameServer:
    """Answers from `records`; an asynchronous context manager that listens until its end.

    The names in `TROUBLES` get no answer that helps; every other one has its records in the order
    of `records`. `port` 0 takes one that is free for both UDP and TCP. Answers are not to be kept:
    each lives zero seconds, so that a lab started anew is seen at once.
    """

    def __init__(self, records: Records, *, bind: str = "127.0.0.1", port: int = 0) -> None:
        self._rrsets: dict[_Question, dns.rrset.RRset] = {}
        self._names: set[dns.name.Name] = set()
        self._authority: list[dns.rrset.RRset] = []
        self._load(records)
        self._bind = bind
        self._port = port
        self._tcp: asyncio.Server | None = None
        self._udp: asyncio.DatagramTransport | None = None
        self._streams: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Self:
        """Listen; raise NameServerError where that is not possible."""
        for attempt in range(_TRIES):
            try:
                await self._listen()
            except OSError as error:
                # What the system chose for TCP may be taken for UDP.
                unlucky = self._port == 0 and error.errno == errno.EADDRINUSE
                if unlucky and attempt < _TRIES - 1:
                    continue
                raise NameServerError(
                    f"the lab's name server can't listen on {self._bind}:{self._port}: "
                    f"{os.strerror(error.errno) if error.errno else error}"
                ) from error
            else:
                break
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
            for stream in self._streams:
                stream.transport.abort()
            await self._tcp.wait_closed()

    @property
    def server(self) -> NameServer:
        """Where it listens; only while it does."""
        assert self._tcp is not None
        return NameServer(address=self._bind, port=self._tcp.sockets[0].getsockname()[1])

    def answer(self, wire: bytes, *, over_tcp: bool) -> bytes | None:
        """Return the answer to a query, None to what is no query or shall have no answer.

        Over UDP an answer that is too long comes cut short, with the flag that sends the client to
        TCP (RFC 2181 section 9).
        """
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return None
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        match self._trouble(query):
            case Trouble.SILENT:
                return None
            case Trouble.SERVFAIL:
                response.set_rcode(dns.rcode.SERVFAIL)
            case None:
                self._fill(response, query)
            case _ as never:
                assert_never(never)
        limit = 65535 if over_tcp else min(max(query.payload, _LEAST_UDP), _MOST_UDP)
        try:
            return response.to_wire(max_size=limit, want_shuffle=False)
        except dns.exception.TooBig:
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC | dns.flags.AA
            return short.to_wire()

    @staticmethod
    def _trouble(query: dns.message.Message) -> Trouble | None:
        names = (q.name.to_text(omit_final_dot=True).lower() for q in query.question)
        return next((TROUBLES[name] for name in names if name in TROUBLES), None)

    def _fill(self, response: dns.message.Message, query: dns.message.Message) -> None:
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
            return
        if len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
            return
        (question,) = query.question
        if question.rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            return
        response.flags |= dns.flags.AA
        found = self._rrsets.get(_Question(question.name, question.rdtype))
        if found is not None:
            response.answer.append(found)
            return
        if question.name not in self._names:
            response.set_rcode(dns.rcode.NXDOMAIN)
        # RFC 2308 section 3: what there is not is said by the zone's SOA record.
        response.authority += [
            soa for soa in self._authority if question.name.is_subdomain(soa.name)
        ]

    def _load(self, records: Records) -> None:
        for text, lines in records.items():
            name = dns.name.from_text(text)
            # A name exists where one below it does (RFC 8020 section 2).
            self._names |= {name.split(depth)[1] for depth in range(1, len(name) + 1)}
            by_kind: dict[str, list[str]] = {}
            for line in lines:
                kind, _, data = line.partition(" ")
                by_kind.setdefault(kind, []).append(data)
            for rrset in _rrsets(name, by_kind):
                self._rrsets[_Question(name, rrset.rdtype)] = rrset
                if rrset.rdtype == dns.rdatatype.SOA:
                    self._authority.append(rrset)

    async def _listen(self) -> None:
        tcp = await asyncio.start_server(self._serve, self._bind, self._port)
        port = tcp.sockets[0].getsockname()[1]
        try:
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._bind, port)
            )
        except OSError:
            tcp.close()
            await tcp.wait_closed()
            raise
        self._tcp, self._udp = tcp, udp

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._streams.add(writer)
        try:
            with suppress(asyncio.IncompleteReadError, OSError, TimeoutError):
                while True:
                    async with asyncio.timeout(_IDLE_SECONDS):
                        size = int.from_bytes(await reader.readexactly(2))
                        answer = self.answer(await reader.readexactly(size), over_tcp=True)
                        if answer is None:
                            return
                        writer.write(len(answer).to_bytes(2) + answer)
                        await writer.drain()
        finally:
            self._streams.discard(writer)
            writer.transport.abort()


def _rrsets(name: dns.name.Name, by_kind: Mapping[str, list[str]]) -> list[dns.rrset.RRset]:
    return [dns.rrset.from_text(name, 0, "IN", kind, *data) for kind, data in by_kind.items()]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: LabNameServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        answer = self._server.answer(data, over_tcp=False)
        if answer is not None:
            self._transport.sendto(answer, addr)
