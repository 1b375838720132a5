"""The host of an email relay: MX records first, then its own addresses, by DNS or the system."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from datetime import timedelta

import pytest
from dns_double import DnsDouble, Trouble

from relay.core.addresses import Domain
from relay.core.destinations import ToMxOrHost, ToNowhere
from relay.core.outcomes import DnsFailure, DnsProblem, Failure
from relay.core.routing import Dns, HostAddress
from relay.core.settings import TlsMode
from relay.lookup.mx import MxResolver
from relay.lookup.resolver import ChainedResolver, SystemResolver

SYSTEM = {"relay.test": "127.0.0.9", "smtp": "127.0.0.8", "localhost": "127.0.0.1"}
"""What the system's resolver knows."""


async def system(host: str, port: int) -> tuple[str, ...]:
    if host not in SYSTEM:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")
    return (SYSTEM[host],)


async def resolve(double: DnsDouble, name: str) -> tuple[HostAddress, ...] | Failure:
    async with double.running():
        chance = random.Random(1)
        resolver = ChainedResolver(
            lab=None,
            system=SystemResolver(lookup=system),
            mx=MxResolver(
                dns=lambda: Dns(server=double.server, timeout=timedelta(seconds=10)),
                own_name="relay.lab.test",
                chance=chance,
            ),
            chance=chance,
        )
        return await resolver.resolve(ToMxOrHost(domain=Domain(name), port=587))


def host(name: str, address: str, preference: int = 0) -> HostAddress:
    return HostAddress(
        name=name, address=address, port=587, mode=TlsMode.STARTTLS, preference=preference
    )


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (
            {
                "relay.test": ["MX 10 mx.relay.test.", "A 127.0.0.2"],
                "mx.relay.test": ["A 127.0.0.3"],
            },
            host("mx.relay.test", "127.0.0.3", 10),
        ),
        ({"relay.test": ["A 127.0.0.2"]}, host("relay.test", "127.0.0.2")),
        ({"relay.test": ["TXT x"]}, host("relay.test", "127.0.0.9")),
        ({}, host("relay.test", "127.0.0.9")),
    ],
    ids=["MX", "A", "known to DNS, without an address", "known to the system alone"],
)
async def test_mx_records_first_then_addresses_then_the_system(
    records: Mapping[str, list[str]], expected: HostAddress
) -> None:
    assert await resolve(DnsDouble(records), "relay.test") == (expected,)


@pytest.mark.parametrize(
    ("records", "problem"),
    [
        ({"relay.test": ["MX 10 gone.relay.test."]}, DnsProblem.NO_HOST),
        ({"relay.test": ["MX 0 ."]}, DnsProblem.NULL_MX),
        ({"relay.test": ["MX 10 relay.lab.test."]}, DnsProblem.LOOPS_BACK),
    ],
)
async def test_whoever_has_mx_records_gets_mail_nowhere_else(
    records: Mapping[str, list[str]], problem: DnsProblem
) -> None:
    failure = await resolve(DnsDouble(records), "relay.test")
    assert failure == DnsFailure(problem=problem, name="relay.test")


async def test_a_look_up_that_fails_is_tried_again_later() -> None:
    double = DnsDouble({}, {"relay.test": Trouble.SERVFAIL})
    failure = await resolve(double, "relay.test")
    assert failure == DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="relay.test")


@pytest.mark.parametrize("name", ["smtp", "localhost"])
async def test_names_of_one_label_are_the_systems_business(name: str) -> None:
    double = DnsDouble({name: ["MX 10 mx.relay.test."]})
    assert await resolve(double, name) == (host(name, SYSTEM[name]),)
    assert double.asked == []


async def test_a_name_that_nobody_knows_and_no_name_at_all() -> None:
    failure = await resolve(DnsDouble({}), "unknown.test")
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name="unknown.test")
    resolver = ChainedResolver(
        lab=None,
        system=SystemResolver(lookup=system),
        mx=MxResolver(dns=Dns, own_name="relay.lab.test", chance=random.Random(1)),
        chance=random.Random(1),
    )
    nowhere = await resolver.resolve(ToNowhere())
    assert nowhere == DnsFailure(problem=DnsProblem.NO_HOST, name="nowhere")
