"""The lab's name server, asked by dnspython's resolver and by queries made by hand."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import Mapping

import dns.asyncquery
import dns.asyncresolver
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest
from typed_tables import rows

from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS
from relay.lab.name_server import LabNameServer, NameServerError
from relay.lab.zone import Records, lab_zone

MANY: Records = {"many.lab.test": tuple(f"MX 10 mx{n}.many.lab.test." for n in range(100))}


def endpoints(address: str) -> Mapping[str, HostAddress]:
    return {
        name: HostAddress(name=entry.card.host, address=address, port=2525, mode=TlsMode.STARTTLS)
        for name, entry in LAB_SCENARIOS.items()
    }


def everywhere(address: str = "127.0.0.9") -> Records:
    return lab_zone(endpoints(address))


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
    about_receivers = [e.card for n, e in LAB_SCENARIOS.items() if n not in DNS_SCENARIOS]
    async with LabNameServer(everywhere()) as server:
        resolver = asker(server)
        for card in about_receivers:
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
        assert b"".join(text.strings).decode() == LAB_SCENARIOS["good"].card.summary


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
        ("mx-loop", ["10 relay.lab.test.", "20 mx.good.lab.test."]),
        ("no-mx", []),
    ],
)
def test_scenarios_about_dns_have_the_exchangers_that_they_are_called_by_in_order(
    name: str, exchangers: list[str]
) -> None:
    response = ask(everywhere(), f"{name}.lab.test", "MX")
    assert response.rcode() == dns.rcode.NOERROR
    assert [r.to_text() for rrset in response.answer for r in rrset] == exchangers
    (text,) = ask(everywhere(), f"{name}.lab.test", "TXT").answer[0]
    assert b"".join(text.strings).decode() == DNS_SCENARIOS[name].card.summary


def test_domains_that_have_no_answer() -> None:
    assert ask(everywhere(), "servfail.lab.test", "MX").rcode() == dns.rcode.SERVFAIL
    assert ask(everywhere(), "servfail.lab.test", "A").rcode() == dns.rcode.SERVFAIL
    assert ask(everywhere(), "nxdomain.lab.test", "MX").rcode() == dns.rcode.NXDOMAIN
    assert ask(everywhere(), "no-mx.lab.test", "A").answer[0][0].to_text() == "127.0.0.9"
    query = dns.message.make_query("DNS-timeout.lab.test", "MX").to_wire()
    for over_tcp in (True, False):
        assert LabNameServer(everywhere()).answer(query, over_tcp=over_tcp) is None


def test_a_loop_leads_whoever_asks_to_itself() -> None:
    records = lab_zone({}, client="gateway.example")
    assert "mx-loop.lab.test" not in records
    assert ask(records, "gateway.example", "A").answer[0][0].to_text() == "127.0.0.1"
    good = {"good": HostAddress(name="", address="::1", port=1, mode=TlsMode.STARTTLS)}
    records = lab_zone(good, client="gateway.example")
    exchangers = ask(records, "mx-loop.lab.test", "MX").answer[0]
    assert [r.to_text() for r in exchangers] == ["10 gateway.example.", "20 mx.good.lab.test."]


@pytest.mark.parametrize("client", ["lab.test", "mx.good.lab.test"])
def test_a_client_called_as_a_host_of_the_lab_takes_nothing_from_it(client: str) -> None:
    assert lab_zone(endpoints("::1"), client=client)[client] == lab_zone(endpoints("::1"))[client]


async def test_many_exchangers_come_whole_over_tcp_each_with_an_address() -> None:
    async with LabNameServer(everywhere()) as server:
        resolver = asker(server)
        exchangers = list(await resolver.resolve("mx-many.lab.test.", "MX"))
        assert len({record.exchange for record in exchangers}) == 60
        (address,) = await resolver.resolve(exchangers[-1].exchange, "A")
        assert address.to_text() == "127.0.0.9"
    assert ask(everywhere(), "mx-many.lab.test", "MX").flags & dns.flags.TC


DIG = """
no-mx            | NOERROR  |
null-mx          | NOERROR  | 0 .
nxdomain         | NXDOMAIN |
servfail         | SERVFAIL |
mx-preference    | NOERROR  | 20 mx.tls12.lab.test. 10 mx.good.lab.test.
mx-bad-then-good | NOERROR  | 10 mx.no-starttls.lab.test. 20 mx.good.lab.test.
mx-good-then-bad | NOERROR  | 10 mx.good.lab.test. 20 mx.no-starttls.lab.test.
mx-loop          | NOERROR  | 10 relay.lab.test. 20 mx.good.lab.test.
mx-many          | NOERROR  | many
"""
"""What dig is answered about MX records, over UDP as over TCP."""


async def dig(server: LabNameServer, *words: str) -> tuple[int | None, str]:
    """Return dig's exit code and its words; it tries once and waits for a second."""
    where = server.server
    process = await asyncio.create_subprocess_exec(
        *("dig", "-r", f"@{where.address}", "-p", str(where.port), "+tries=1", "+time=1", *words),
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.judge("dig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_reads_what_is_meant(transport: str) -> None:
    assert [row[0] for row in rows(DIG)] == [
        name for name in DNS_SCENARIOS if name != "dns-timeout"
    ]
    async with LabNameServer(everywhere()) as server:
        for name, rcode, records in rows(DIG):
            code, out = await dig(server, f"{name}.lab.test", "MX", transport)
            assert code == 0
            assert f"status: {rcode}," in out
            assert "WARNING" not in out
            found = re.findall(r"^\S+\s+0\s+IN\s+MX\s+(.+)$", out, re.MULTILINE)
            many = [f"10 mx{n}.mx-many.lab.test." for n in range(60)]
            assert found == many if records == "many" else " ".join(found) == records


@pytest.mark.judge("dig")
@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
async def test_dig_waits_in_vain(transport: str) -> None:
    async with LabNameServer(everywhere()) as server:
        code, out = await dig(server, "dns-timeout.lab.test", "MX", transport)
    assert code == 9
    assert "status:" not in out


@pytest.mark.judge("dig")
async def test_dig_turns_to_tcp_where_an_answer_was_cut_short() -> None:
    async with LabNameServer(everywhere()) as server:
        _, cut = await dig(server, "mx-many.lab.test", "MX", "+notcp", "+ignore")
        _, whole = await dig(server, "mx-many.lab.test", "MX", "+notcp")
        _, found = await dig(server, "mx59.mx-many.lab.test", "A", "+short")
    assert re.search(r"flags:.* tc", cut)
    assert "ANSWER: 0" in cut
    assert "retrying in TCP mode" in whole
    assert "ANSWER: 60" in whole
    assert found == "127.0.0.9\n"
