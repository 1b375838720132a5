"""Where destinations are: numbers, names, the lab's own, and the ways to find nothing."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import threading
from datetime import timedelta

import pytest
from dns_double import DnsDouble

from relay.core.destinations import PreferredHost, ToCapture, ToHost, ToHosts, ToScenario
from relay.core.outcomes import DnsFailure, DnsProblem, LocalProblem, LocalRefusal
from relay.core.routing import Dns, HostAddress, NameServer
from relay.core.settings import TlsMode
from relay.lookup.mx import MxResolver
from relay.lookup.records import MOST_ADDRESSES
from relay.lookup.resolver import (
    ChainedResolver,
    LabAddresses,
    LabNames,
    SystemResolver,
    system_lookup,
)


class Names:
    """A look-up with its answers typed in; it remembers what it was asked."""

    def __init__(self, *addresses: str, error: Exception | None = None) -> None:
        self.asked: list[tuple[str, int]] = []
        self._addresses = addresses
        self._error = error

    async def __call__(self, host: str, port: int) -> tuple[str, ...]:
        self.asked.append((host, port))
        if self._error is not None:
            raise self._error
        return self._addresses


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "192.0.2.7"])
async def test_a_number_stands_for_itself(address: str) -> None:
    names = Names()
    to = ToHost(host=address, port=2525, mode=TlsMode.IMPLICIT)
    assert await SystemResolver(lookup=names).resolve(to) == (
        HostAddress(name=address, address=address, port=2525, mode=TlsMode.IMPLICIT),
    )
    assert names.asked == []


async def test_a_name_has_all_its_addresses_in_order() -> None:
    names = Names("2001:db8::1", "192.0.2.1")
    answers = await SystemResolver(lookup=names).resolve(ToHost(host="mx.peer.test.", port=25))
    assert answers == (
        HostAddress(name="mx.peer.test", address="2001:db8::1", port=25, mode=TlsMode.STARTTLS),
        HostAddress(name="mx.peer.test", address="192.0.2.1", port=25, mode=TlsMode.STARTTLS),
    )
    assert names.asked == [("mx.peer.test", 25)]


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), DnsProblem.NO_HOST),
        (socket.gaierror(socket.EAI_AGAIN, "try again"), DnsProblem.LOOKUP_FAILED),
        (socket.gaierror(socket.EAI_FAIL, "failed"), DnsProblem.LOOKUP_FAILED),
        (OSError(24, "too many open files"), DnsProblem.LOOKUP_FAILED),
        (UnicodeError("label too long"), DnsProblem.NO_HOST),
    ],
    ids=str,
)
async def test_a_look_up_that_fails(error: Exception, problem: DnsProblem) -> None:
    resolver = SystemResolver(lookup=Names(error=error))
    failure = await resolver.resolve(ToHost(host="mx.peer.test"))
    assert failure == DnsFailure(problem=problem, name="mx.peer.test")


async def test_a_look_up_that_never_ends() -> None:
    async def never(host: str, port: int) -> tuple[str, ...]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError((host, port))

    resolver = SystemResolver(timeout=timedelta(seconds=0.01), lookup=never)
    failure = await resolver.resolve(ToHost(host="mx.peer.test"))
    assert failure == DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="mx.peer.test")


async def test_of_very_many_addresses_the_first_are_tried() -> None:
    names = Names(*(f"127.0.1.{n}" for n in range(1, 200)))
    answers = await SystemResolver(lookup=names).resolve(ToHost(host="mx.peer.test"))
    assert isinstance(answers, tuple)
    tried = [answer.address for answer in answers]
    assert tried == [f"127.0.1.{n}" for n in range(1, MOST_ADDRESSES + 1)]


async def test_no_address_is_no_host() -> None:
    failure = await SystemResolver(lookup=Names()).resolve(ToHost(host="mx.peer.test"))
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name="mx.peer.test")


@pytest.mark.parametrize("name", ["a..b.test", "x" * 64 + ".test", "name with blanks"])
async def test_names_that_are_none_are_failures_of_the_real_look_up_too(name: str) -> None:
    assert isinstance(await SystemResolver().resolve(ToHost(host=name)), DnsFailure)


async def test_the_system_knows_localhost() -> None:
    addresses = await system_lookup("localhost", 25)
    assert set(addresses) & {"127.0.0.1", "::1"}
    assert len(set(addresses)) == len(addresses)


async def test_look_ups_that_hang_leave_threads_to_all_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, answered = threading.Semaphore(0), threading.Event()
    threads_of_asyncio = min(32, (os.cpu_count() or 1) + 4)

    def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.release()
        answered.wait()
        return [(None, None, None, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with asyncio.TaskGroup() as tasks:
        found = [
            tasks.create_task(system_lookup(f"mx{n}.peer.test", 25))
            for n in range(threads_of_asyncio)
        ]
        try:
            # Were they asyncio's own, this would wait for an answer that nobody gives.
            async with asyncio.timeout(10):
                for _ in found:
                    await asyncio.to_thread(asked.acquire)
        finally:
            answered.set()
    assert {task.result() for task in found} == {("127.0.0.1",)}


def chained(
    lab: LabAddresses | None = None,
    names: Names | None = None,
    seed: int = 1,
    *,
    lab_names: LabNames | None = None,
) -> ChainedResolver:
    chance = random.Random(seed)
    return ChainedResolver(
        lab=lab,
        names=lab_names,
        system=SystemResolver(lookup=names or Names()),
        mx=MxResolver(dns=Dns, own_name="relay.lab.test", chance=chance),
        chance=chance,
    )


@pytest.mark.parametrize("to", [ToScenario(scenario="expired"), ToCapture()])
async def test_without_a_lab_its_receivers_have_no_host(to: ToScenario | ToCapture) -> None:
    failure = await chained().resolve(to)
    assert isinstance(failure, DnsFailure)
    assert failure.problem is DnsProblem.NO_HOST


class Lab:
    """A lab with one receiver, and one whose port is taken."""

    async def address(self, name: str) -> HostAddress:
        if name == "broken":
            raise RuntimeError("the port is taken")
        if name != "expired":
            raise LookupError(name)
        return _receiver("expired")

    async def capture_address(self) -> HostAddress:
        return _receiver("capture")


def _receiver(name: str) -> HostAddress:
    return HostAddress(
        name=f"mx.{name}.lab.test", address="127.0.0.1", port=2501, mode=TlsMode.STARTTLS
    )


async def test_the_lab_answers_for_its_own() -> None:
    names = Names("192.0.2.1")
    resolver = chained(Lab(), names)
    assert await resolver.resolve(ToScenario(scenario="expired")) == (_receiver("expired"),)
    assert await resolver.resolve(ToCapture()) == (_receiver("capture"),)
    assert names.asked == []
    found = await resolver.resolve(ToHost(host="mx.peer.test"))
    assert isinstance(found, tuple)
    assert [answer.address for answer in found] == ["192.0.2.1"]


async def test_a_scenario_that_the_lab_does_not_have() -> None:
    resolver = chained(Lab())
    failure = await resolver.resolve(ToScenario(scenario="expird"))
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name="expird.lab.test")


async def test_a_receiver_that_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    resolver = chained(Lab())
    failure = await resolver.resolve(ToScenario(scenario="broken"))
    assert failure == LocalRefusal(
        problem=LocalProblem.INTERNAL,
        detail="the lab's receiver for broken.lab.test does not start",
    )
    assert "the port is taken" in caplog.text


class NamesOfLab:
    """A lab's names, whose only scenario about DNS is `two-hosts`; one of its hosts has no port."""

    def __init__(self, server: NameServer | None) -> None:
        self._server = server

    async def name_server(self, scenario: str) -> NameServer | None:
        if scenario == "two-hosts" and self._server is None:
            raise RuntimeError("no port is free")
        return self._server if scenario == "two-hosts" else None

    async def host(self, name: str) -> HostAddress:
        if name == "unknown.test":
            raise LookupError(name)
        return HostAddress(name=name, address="::1", port=2600 + len(name), mode=TlsMode.IMPLICIT)


TWO_HOSTS = ToScenario(scenario="two-hosts")


async def test_a_scenario_about_dns_is_asked_for_and_gets_its_receivers_ports() -> None:
    records = {
        "two-hosts.lab.test": ["MX 20 b.test.", "MX 10 long.test."],
        "b.test": ["A 127.0.0.2"],
        "long.test": ["A 127.0.0.3"],
    }
    async with DnsDouble(records).running() as dns:
        names = NamesOfLab(dns.server)
        answers = await chained(Lab(), lab_names=names).resolve(TWO_HOSTS)
        asked = list(dns.asked)
        there = await chained(Lab(), lab_names=names).resolve(ToScenario(scenario="expired"))
        assert dns.asked == asked
    assert isinstance(answers, tuple)
    assert [(a.name, a.address, a.port, a.mode, a.preference) for a in answers] == [
        ("long.test", "127.0.0.3", 2609, TlsMode.IMPLICIT, 10),
        ("b.test", "127.0.0.2", 2606, TlsMode.IMPLICIT, 20),
    ]
    assert there == (_receiver("expired"),)


async def test_a_scenario_about_dns_fails_as_its_look_up_does() -> None:
    async with DnsDouble({"two-hosts.lab.test": ["MX 0 ."]}).running() as dns:
        failure = await chained(Lab(), lab_names=NamesOfLab(dns.server)).resolve(TWO_HOSTS)
        nowhere = await chained(lab_names=NamesOfLab(dns.server)).resolve(TWO_HOSTS)
    assert failure == DnsFailure(problem=DnsProblem.NULL_MX, name="two-hosts.lab.test")
    assert nowhere == DnsFailure(problem=DnsProblem.NO_HOST, name="two-hosts.lab.test")


async def test_a_record_that_leads_to_no_receiver_leads_nowhere() -> None:
    records = {"two-hosts.lab.test": ["MX 1 unknown.test."], "unknown.test": ["A 127.0.0.2"]}
    async with DnsDouble(records).running() as dns:
        failure = await chained(Lab(), lab_names=NamesOfLab(dns.server)).resolve(TWO_HOSTS)
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name="two-hosts.lab.test")


async def test_a_name_server_that_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    failure = await chained(Lab(), lab_names=NamesOfLab(None)).resolve(TWO_HOSTS)
    assert isinstance(failure, LocalRefusal)
    assert failure.problem is LocalProblem.INTERNAL
    assert "no port is free" in caplog.text


def several(*hosts: tuple[ToHost | ToScenario | ToCapture, int]) -> ToHosts:
    return ToHosts(hosts=tuple(PreferredHost(to=to, preference=number) for to, number in hosts))


async def test_several_hosts_come_by_preference_wherever_they_are_looked_up() -> None:
    names = Names("192.0.2.1", "192.0.2.2")
    to = several((ToHost(host="a.test"), 20), (ToScenario(scenario="expired"), 10))
    answers = await chained(Lab(), names).resolve(to)
    assert isinstance(answers, tuple)
    assert [(a.name, a.address, a.preference) for a in answers] == [
        ("mx.expired.lab.test", "127.0.0.1", 10),
        ("a.test", "192.0.2.1", 20),
        ("a.test", "192.0.2.2", 20),
    ]


async def test_chance_decides_among_several_hosts_of_equal_preference() -> None:
    to = several(*((ToHost(host=f"127.0.0.{n}"), 10) for n in range(1, 9)))

    async def order(seed: int) -> tuple[str, ...]:
        answers = await chained(seed=seed).resolve(to)
        assert isinstance(answers, tuple)
        return tuple(answer.address for answer in answers)

    assert await order(5) == await order(5)
    assert len({await order(seed) for seed in range(4)}) == 4


async def test_of_several_hosts_those_that_are_nowhere_are_left_out() -> None:
    names = Names(error=socket.gaierror(socket.EAI_NONAME, "unknown"))
    nowhere, here = ToHost(host="a.test"), ToHost(host="127.0.0.5")
    answers = await chained(names=names).resolve(several((nowhere, 10), (here, 20)))
    assert isinstance(answers, tuple)
    assert [answer.address for answer in answers] == ["127.0.0.5"]


@pytest.mark.parametrize("swap", [False, True])
async def test_where_one_of_several_may_be_found_later_the_message_waits(swap: bool) -> None:
    names = Names(error=socket.gaierror(socket.EAI_AGAIN, "try again"))
    hosts: list[tuple[ToHost | ToScenario | ToCapture, int]] = [
        (ToScenario(scenario="expird"), 10),
        (ToHost(host="a.test"), 20),
    ]
    failure = await chained(Lab(), names).resolve(several(*(reversed(hosts) if swap else hosts)))
    assert failure == DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="a.test")
