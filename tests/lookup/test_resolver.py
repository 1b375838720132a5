"""Where destinations are: numbers, names, the lab's own, and the ways to find nothing."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta

import pytest

from relay.core.outcomes import DnsFailure, DnsProblem, LocalProblem, LocalRefusal
from relay.core.routing import Destination, HostAddress, ToCapture, ToHost, ToScenario
from relay.core.settings import TlsMode
from relay.lookup.resolver import ChainedResolver, SystemResolver, system_lookup


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


@pytest.mark.parametrize("to", [ToScenario(scenario="expired"), ToCapture()])
async def test_the_system_does_not_know_the_lab(to: Destination) -> None:
    for resolver in (SystemResolver(), ChainedResolver(lab=None, system=SystemResolver())):
        failure = await resolver.resolve(to)
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
    resolver = ChainedResolver(lab=Lab(), system=SystemResolver(lookup=names))
    assert await resolver.resolve(ToScenario(scenario="expired")) == (_receiver("expired"),)
    assert await resolver.resolve(ToCapture()) == (_receiver("capture"),)
    assert names.asked == []
    found = await resolver.resolve(ToHost(host="mx.peer.test"))
    assert isinstance(found, tuple)
    assert [answer.address for answer in found] == ["192.0.2.1"]


async def test_a_scenario_that_the_lab_does_not_have() -> None:
    resolver = ChainedResolver(lab=Lab(), system=SystemResolver())
    failure = await resolver.resolve(ToScenario(scenario="expird"))
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name="expird.lab.test")


async def test_a_receiver_that_does_not_start(caplog: pytest.LogCaptureFixture) -> None:
    resolver = ChainedResolver(lab=Lab(), system=SystemResolver())
    failure = await resolver.resolve(ToScenario(scenario="broken"))
    assert failure == LocalRefusal(
        problem=LocalProblem.INTERNAL,
        detail="the lab's receiver for broken.lab.test does not start",
    )
    assert "the port is taken" in caplog.text
