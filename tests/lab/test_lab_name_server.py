"""The lab's name server, asked by dnspython's resolver and by queries made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lab.catalogue import SCENARIOS
from relay.lab.name_server import LabNameServer, NameServerError
from relay.lab.zone import Records, lab_zone

MANY: Records = {"many.lab.test": tuple(f"MX 10 mx{n}.many.lab.test." for n in range(100))}


def everywhere(address: str = "127.0.0.9") -> Records:
    return lab_zone(
        {
            name: HostAddress(name=card.host, address=address, port=2525, mode=TlsMode.STARTTLS)
            for name, card in SCENARIOS.items()
        }
    )


def ask(records: Records, name: str, kind: str, **options: object) -> dns.message.Message:
    query = dns.message.make_query(name, kind, **options)
    wire = LabNameServer(records).answer(query.to_wire(), over_tcp=False)
    assert wire is not None
    response = dns.message.from_wire(wire)
    assert query.is_response(response)
    return response


def asker(server: LabNameServer) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [server.server.address]
    resolver.port = server.server.port
    return resolver


async def test_a_resolver_finds_every_scenarios_receiver() -> None:
    async with LabNameServer(everywhere()) as server:
        resolver = asker(server)
        for card in SCENARIOS.values():
            (exchanger,) = await resolver.resolve(f"{card.mail_domain}.", "MX")
            assert exchanger.preference == 10
            assert exchanger.exchange.to_text() == f"{card.host}."
            (address,) = await resolver.resolve(exchanger.exchange, "A")
            assert address.to_text() == "127.0.0.9"


async def test_an_ipv6_receiver_has_an_aaaa_record_and_the_text_is_the_cards() -> None:
    async with LabNameServer(everywhere("::1")) as server:
        resolver = asker(server)
        (address,) = await resolver.resolve("mx.good.lab.test.", "AAAA", tcp=True)
        assert address.to_text() == "::1"
        (text,) = await resolver.resolve("good.lab.test.", "TXT")
        assert b"".join(text.strings).decode() == SCENARIOS["good"].summary


@pytest.mark.parametrize(
    "name", ["example.com", "no-such-scenario.lab.test", "mx.mx.good.lab.test", "labx.test"]
)
def test_other_names_do_not_exist(name: str) -> None:
    assert ask(everywhere(), name, "MX").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "kind"),
    [("good.lab.test", "A"), ("mx.good.lab.test", "AAAA"), ("lab.test", "MX"), ("test", "A")],
)
def test_a_name_without_such_records_exists_all_the_same(name: str, kind: str) -> None:
    response = ask(everywhere(), name, kind)
    assert response.rcode() == dns.rcode.NOERROR
    assert not response.answer
    if name != "test":
        (soa,) = response.authority
        assert soa.rdtype == dns.rdatatype.SOA


def test_case_does_not_matter_and_the_answer_is_the_same_each_time() -> None:
    first, second = (ask(everywhere(), "GOOD.Lab.Test", "MX", id=7).to_wire() for _ in range(2))
    assert first == second
    assert ask(everywhere(), "GOOD.Lab.Test", "MX").answer


async def test_an_answer_too_long_for_udp_comes_whole_over_tcp() -> None:
    short = ask(MANY, "many.lab.test", "MX")
    assert short.flags & dns.flags.TC
    assert not short.answer
    query = dns.message.make_query("many.lab.test", "MX")
    async with LabNameServer(MANY) as server:
        where = server.server
        response, over_tcp = await dns.asyncquery.udp_with_fallback(
            query, where.address, port=where.port, timeout=5
        )
    assert over_tcp
    assert len(response.answer[0]) == 100


def test_a_client_that_takes_more_over_udp_gets_more() -> None:
    records = {"ten.lab.test": MANY["many.lab.test"][:30]}
    assert ask(records, "ten.lab.test", "MX").flags & dns.flags.TC
    assert len(ask(records, "ten.lab.test", "MX", use_edns=0, payload=1232).answer[0]) == 30
    assert ask(MANY, "many.lab.test", "MX", use_edns=0, payload=65535).flags & dns.flags.TC


def test_what_is_no_question_of_the_internet_class() -> None:
    server = LabNameServer(everywhere())
    response = dns.message.make_response(dns.message.make_query("good.lab.test", "MX"))
    assert server.answer(response.to_wire(), over_tcp=False) is None
    assert server.answer(b"nonsense", over_tcp=False) is None
    assert ask(everywhere(), "good.lab.test", "TXT", rdclass="CH").rcode() == dns.rcode.REFUSED
    notify = dns.message.make_query("good.lab.test", "MX")
    notify.set_opcode(dns.opcode.NOTIFY)
    wire = server.answer(notify.to_wire(), over_tcp=True)
    assert wire is not None
    assert dns.message.from_wire(wire).rcode() == dns.rcode.NOTIMP


async def test_a_port_that_is_taken_is_an_error_that_names_it() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NameServerError, match=f"127.0.0.1:{port}: Address already in use"):
            async with LabNameServer(everywhere(), port=port):
                pass


async def test_the_end_closes_open_connections() -> None:
    async with LabNameServer(everywhere()) as server:
        reader, writer = await asyncio.open_connection(server.server.address, server.server.port)
        query = dns.message.make_query("good.lab.test", "MX").to_wire()
        writer.write(len(query).to_bytes(2) + query)
        assert int.from_bytes(await reader.readexactly(2)) > len(query)
        await reader.readexactly(1)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()


@pytest.mark.parametrize(
    ("name", "exchangers"),
    [
        ("null-mx", ["0 ."]),
        ("mx-preference", ["20 mx.tls12.lab.test.", "10 mx.good.lab.test."]),
        ("mx-bad-then-good", ["10 mx.no-starttls.lab.test.", "20 mx.good.lab.test."]),
        ("mx-good-then-bad", ["10 mx.good.lab.test.", "20 mx.no-starttls.lab.test."]),
        ("no-mx", []),
    ],
)
def test_special_names_have_the_exchangers_that_they_are_called_by(
    name: str, exchangers: list[str]
) -> None:
    response = ask(everywhere(), f"{name}.lab.test", "MX")
    assert response.rcode() == dns.rcode.NOERROR
    assert sorted(r.to_text() for rrset in response.answer for r in rrset) == sorted(exchangers)


def test_special_names_that_have_no_answer() -> None:
    assert ask(everywhere(), "servfail.lab.test", "MX").rcode() == dns.rcode.SERVFAIL
    assert ask(everywhere(), "nxdomain.lab.test", "MX").rcode() == dns.rcode.NXDOMAIN
    assert ask(everywhere(), "no-mx.lab.test", "A").answer[0][0].to_text() == "127.0.0.9"
    query = dns.message.make_query("DNS-timeout.lab.test", "MX").to_wire()
    for over_tcp in (True, False):
        assert LabNameServer(everywhere()).answer(query, over_tcp=over_tcp) is None


async def test_many_exchangers_come_whole_over_tcp() -> None:
    async with LabNameServer(everywhere()) as server:
        exchangers = await asker(server).resolve("mx-many.lab.test.", "MX")
        assert len(list(exchangers)) == 60
    assert ask(everywhere(), "mx-many.lab.test", "MX").flags & dns.flags.TC
