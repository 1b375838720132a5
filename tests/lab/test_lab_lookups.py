"""The lab's name server beside a relay: real look-ups of every scenario about DNS."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from relay.core.addresses import parse_domain
from relay.core.destinations import ToMailDomain, ToScenario
from relay.core.outcomes import DnsFailure, DnsProblem, Failure
from relay.core.routing import Dns, HostAddress
from relay.lab.catalogue import DNS_SCENARIOS
from relay.lab.lab import Lab
from relay.lab.lookups import LabLookups
from relay.lookup.mx import MOST_EXCHANGERS, MxResolver
from relay.lookup.resolver import ChainedResolver, SystemResolver

CLIENT = "Gateway.Example"
NOT_FOUND = {name: s.problem for name, s in DNS_SCENARIOS.items() if s.problem is not None}


@pytest.fixture
async def lookups(lab: Lab) -> AsyncIterator[LabLookups]:
    async with LabLookups(lab, client=CLIENT) as running:
        yield running


async def resolve(
    lab: Lab, lookups: LabLookups, name: str, *, patience: float = 5.0
) -> tuple[HostAddress, ...] | Failure:
    chance = random.Random(1)
    resolver = ChainedResolver(
        lab=lab,
        names=lookups,
        system=SystemResolver(),
        mx=MxResolver(
            dns=lambda: Dns(timeout=timedelta(seconds=patience)), own_name=CLIENT, chance=chance
        ),
        chance=chance,
    )
    return await resolver.resolve(ToScenario(scenario=name))


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("no-mx", {"no-mx.lab.test": ("no-mx", 0)}),
        (
            "mx-preference",
            {"mx.good.lab.test": ("good", 10), "mx.tls12.lab.test": ("tls12", 20)},
        ),
        (
            "mx-bad-then-good",
            {"mx.no-starttls.lab.test": ("no-starttls", 10), "mx.good.lab.test": ("good", 20)},
        ),
        (
            "mx-good-then-bad",
            {"mx.good.lab.test": ("good", 10), "mx.no-starttls.lab.test": ("no-starttls", 20)},
        ),
    ],
)
async def test_the_hosts_come_by_preference_each_with_its_receivers_port(
    lab: Lab, lookups: LabLookups, name: str, hosts: dict[str, tuple[str, int]]
) -> None:
    answers = await resolve(lab, lookups, name)
    assert isinstance(answers, tuple)
    assert [(a.name, a.port, a.preference) for a in answers] == [
        (host, (await lab.address(receiver)).port, preference)
        for host, (receiver, preference) in hosts.items()
    ]


async def test_many_exchangers_are_one_receiver_under_many_names(
    lab: Lab, lookups: LabLookups
) -> None:
    answers = await resolve(lab, lookups, "mx-many")
    assert isinstance(answers, tuple)
    assert len({answer.name for answer in answers}) == MOST_EXCHANGERS
    assert {answer.port for answer in answers} == {(await lab.address("mx-many")).port}


@pytest.mark.parametrize("name", NOT_FOUND)
async def test_a_domain_without_a_host_is_the_failure_that_its_card_is_about(
    lab: Lab, lookups: LabLookups, name: str
) -> None:
    # The only wait that is ever used up is that for an answer which never comes.
    patience = 0.2 if name == "dns-timeout" else 5.0
    failure = await resolve(lab, lookups, name, patience=patience)
    assert failure == DnsFailure(problem=NOT_FOUND[name], name=f"{name}.lab.test")


async def test_nothing_starts_for_a_scenario_that_is_a_receiver(
    lab: Lab, lookups: LabLookups
) -> None:
    assert await lookups.name_server("expired") is None
    assert lab.endpoints == {}
    assert await lookups.name_server("null-mx") == await lookups.name_server("mx-loop")
    assert set(lab.endpoints) == {"good", "tls12", "no-starttls", "no-mx", "mx-many"}


async def test_a_host_that_is_no_receiver(lookups: LabLookups) -> None:
    with pytest.raises(LookupError):
        await lookups.host("mx.elsewhere.test")


async def test_the_end_of_it_ends_the_name_server(lab: Lab) -> None:
    async with LabLookups(lab, client=CLIENT) as lookups:
        server = await lookups.name_server("null-mx")
        assert server is not None
    async with LabLookups(lab, client=CLIENT):
        failure = await MxResolver(
            dns=lambda: Dns(server=server, timeout=timedelta(seconds=0.2)),
            own_name=CLIENT,
            chance=random.Random(1),
        ).resolve(ToMailDomain(domain=parse_domain("null-mx.lab.test")))
    assert failure == DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="null-mx.lab.test")
