"""Mail exchangers: by preference, by chance among equal ones, and every way to have none."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import timedelta

import pytest
from dns_double import DnsDouble, Trouble

from relay.core.addresses import parse_domain
from relay.core.destinations import ToMailDomain
from relay.core.outcomes import DnsFailure, DnsProblem, Failure, LocalProblem, LocalRefusal
from relay.core.routing import Dns, HostAddress, NameServer
from relay.core.settings import TlsMode
from relay.lookup.mx import LOOKUPS_AT_ONCE, MOST_EXCHANGERS, MxResolver
from relay.lookup.records import MOST_ADDRESSES

PEER = {
    "peer.test": ["MX 20 mx2.peer.test.", "MX 10 mx1.peer.test.", "MX 30 mx3.peer.test."],
    "mx1.peer.test": ["A 127.0.0.1"],
    "mx2.peer.test": ["AAAA ::1", "A 127.0.0.2"],
    "mx3.peer.test": ["A 127.0.0.3"],
}
SHORT = timedelta(seconds=0.3)
LONG = timedelta(seconds=15)


async def ask(
    double: DnsDouble,
    domain: str = "peer.test",
    *,
    port: int = 25,
    within: timedelta = LONG,
    seed: int = 1,
    own_name: str = "relay.lab.test",
) -> tuple[HostAddress, ...] | Failure:
    async with double.running():
        resolver = MxResolver(
            dns=lambda: Dns(server=double.server, timeout=within),
            own_name=own_name,
            chance=random.Random(seed),
        )
        return await resolver.resolve(ToMailDomain(domain=parse_domain(domain), port=port))


async def addresses(records: Mapping[str, list[str]], **options: object) -> list[str]:
    answers = await ask(DnsDouble(records), **options)  # type: ignore[arg-type]
    assert isinstance(answers, tuple)
    return [answer.address for answer in answers]


async def problem(double: DnsDouble, **options: object) -> DnsProblem:
    failure = await ask(double, **options)  # type: ignore[arg-type]
    assert isinstance(failure, DnsFailure)
    assert failure.name == "peer.test"
    return failure.problem


async def test_hosts_by_preference_each_with_all_its_addresses() -> None:
    answers = await ask(DnsDouble(PEER), port=2525)
    expected = [
        ("mx1.peer.test", "127.0.0.1", 10),
        ("mx2.peer.test", "127.0.0.2", 20),
        ("mx2.peer.test", "::1", 20),
        ("mx3.peer.test", "127.0.0.3", 30),
    ]
    assert answers == tuple(
        HostAddress(name=n, address=a, port=2525, mode=TlsMode.STARTTLS, preference=p)
        for n, a, p in expected
    )


async def test_a_domain_without_mx_is_its_own_exchanger() -> None:
    answers = await ask(DnsDouble({"peer.test": ["A 127.0.0.7"]}))
    assert answers == (
        HostAddress(
            name="peer.test", address="127.0.0.7", port=25, mode=TlsMode.STARTTLS, preference=0
        ),
    )


async def test_with_mx_the_domains_own_address_is_never_used() -> None:
    records = {"peer.test": ["MX 10 gone.peer.test.", "A 127.0.0.7"]}
    assert await problem(DnsDouble(records)) is DnsProblem.NO_HOST


async def test_aliases_are_followed() -> None:
    records = {
        "peer.test": ["CNAME other.test."],
        "other.test": ["MX 10 mx.other.test."],
        "mx.other.test": ["CNAME host.other.test."],
        "host.other.test": ["A 127.0.0.9"],
    }
    assert await addresses(records) == ["127.0.0.9"]


@pytest.mark.parametrize("records", [["MX 0 ."], ["MX 0 .", "A 127.0.0.1"], ["MX 10 ."]])
async def test_a_null_mx_takes_no_mail(records: list[str]) -> None:
    double = DnsDouble({"peer.test": records})
    assert await problem(double) is DnsProblem.NULL_MX
    assert double.asked == ["peer.test MX"]


async def test_a_root_among_real_exchangers_is_no_null_mx() -> None:
    records = {**PEER, "peer.test": ["MX 0 .", "MX 10 mx1.peer.test."]}
    assert await addresses(records) == ["127.0.0.1"]


async def test_an_exchanger_that_is_no_host_name_is_left_out() -> None:
    records = {**PEER, "peer.test": [r"MX 0 not\032a\032host.test.", "MX 10 mx1.peer.test."]}
    assert await addresses(records) == ["127.0.0.1"]
    alone = {"peer.test": [r"MX 0 not\032a\032host.test."]}
    assert await problem(DnsDouble(alone)) is DnsProblem.NO_HOST


@pytest.mark.parametrize("records", [{}, {"peer.test": ["TXT nothing"]}])
async def test_no_such_domain_and_no_address(records: dict[str, list[str]]) -> None:
    assert await problem(DnsDouble(records)) is DnsProblem.NO_HOST


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.REFUSED])
async def test_a_server_that_fails(trouble: Trouble) -> None:
    assert await problem(DnsDouble(PEER, {"peer.test": trouble})) is DnsProblem.LOOKUP_FAILED


async def test_a_server_that_never_answers_is_given_up_in_time() -> None:
    double = DnsDouble(PEER, {"peer.test": Trouble.SILENT})
    assert await problem(double, within=SHORT) is DnsProblem.LOOKUP_FAILED


async def test_a_server_that_is_not_there() -> None:
    resolver = MxResolver(
        dns=lambda: Dns(server=NameServer(address="127.0.0.1", port=1), timeout=SHORT),
        own_name="relay.lab.test",
        chance=random.Random(1),
    )
    failure = await resolver.resolve(ToMailDomain(domain=parse_domain("peer.test")))
    assert failure == DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="peer.test")


@pytest.mark.parametrize("trouble", [Trouble.SERVFAIL, Trouble.SILENT])
async def test_an_exchanger_that_can_not_be_found_is_left_out(trouble: Trouble) -> None:
    within = timedelta(seconds=1) if trouble is Trouble.SILENT else LONG
    answers = await ask(DnsDouble(PEER, {"mx1.peer.test": trouble}), within=within)
    assert isinstance(answers, tuple)
    assert [a.address for a in answers] == ["127.0.0.2", "::1", "127.0.0.3"]


async def test_where_one_exchanger_may_be_found_later_the_message_waits() -> None:
    records = {"peer.test": PEER["peer.test"]}
    double = DnsDouble(records, {"mx2.peer.test": Trouble.SERVFAIL})
    assert await problem(double) is DnsProblem.LOOKUP_FAILED


async def test_an_answer_too_large_for_udp_is_asked_for_over_tcp() -> None:
    double = DnsDouble(PEER, {"peer.test": Trouble.TRUNCATED})
    answers = await ask(double)
    assert isinstance(answers, tuple)
    assert len(answers) == 4
    assert double.asked.count("peer.test MX") == 2


EQUAL = {
    "peer.test": [f"MX 10 mx{n}.peer.test." for n in range(8)] + ["MX 5 first.peer.test."],
    "first.peer.test": ["A 127.0.1.1"],
    **{f"mx{n}.peer.test": [f"A 127.0.0.{n}", f"A 127.0.9.{n}"] for n in range(8)},
}


async def test_chance_decides_among_equal_preferences_and_a_seed_decides_chance() -> None:
    order = await addresses(EQUAL, seed=7)
    assert order[0] == "127.0.1.1"
    assert len(order) == 17
    # A host's addresses stay together.
    assert all(
        order[at].rpartition(".")[2] == order[at + 1].rpartition(".")[2] for at in range(1, 17, 2)
    )
    assert await addresses(EQUAL, seed=7) == order
    rotated = {**EQUAL, "peer.test": EQUAL["peer.test"][3:] + EQUAL["peer.test"][:3]}
    assert await addresses(rotated, seed=7) == order
    others = [await addresses(EQUAL, seed=seed) for seed in range(4)]
    assert len({tuple(other) for other in others}) == 4


async def test_each_message_draws_anew() -> None:
    double, chance = DnsDouble(EQUAL), random.Random(3)
    async with double.running():
        resolver = MxResolver(
            dns=lambda: Dns(server=double.server, timeout=LONG), own_name="x.test", chance=chance
        )
        to = ToMailDomain(domain=parse_domain("peer.test"))
        orders = {await resolver.resolve(to) for _ in range(4)}
    assert len(orders) == 4


async def test_our_own_name_and_all_that_are_not_preferred_to_it_are_left_out() -> None:
    records = {**PEER, "peer.test": [*PEER["peer.test"], "MX 20 Relay.Lab.Test."]}
    assert await addresses(records) == ["127.0.0.1"]


async def test_where_we_are_the_best_exchanger_the_message_would_loop() -> None:
    records = {**PEER, "peer.test": [*PEER["peer.test"], "MX 5 relay.lab.test."]}
    double = DnsDouble(records)
    assert await problem(double) is DnsProblem.LOOPS_BACK
    assert double.asked == ["peer.test MX"]


async def test_our_own_domain_without_mx_would_loop_too() -> None:
    records = {"peer.test": ["A 127.0.0.1"]}
    assert await problem(DnsDouble(records), own_name="Peer.test.") is DnsProblem.LOOPS_BACK


async def test_of_very_many_exchangers_the_preferred_ones_are_looked_at() -> None:
    numbers = range(1, MOST_EXCHANGERS + 11)
    records = {
        "peer.test": [f"MX {n} mx{n}.peer.test." for n in reversed(numbers)],
        **{f"mx{n}.peer.test": [f"A 127.0.0.{n}"] for n in numbers},
    }
    found = await addresses(records)
    assert found == [f"127.0.0.{n}" for n in range(1, MOST_EXCHANGERS + 1)]


async def test_of_very_many_addresses_of_a_host_the_first_are_tried() -> None:
    records = {
        "peer.test": ["MX 10 many.peer.test.", "MX 20 one.peer.test."],
        "many.peer.test": [f"A 127.0.1.{n}" for n in range(1, 200)],
        "one.peer.test": ["A 127.0.0.2"],
    }
    *many, one = await addresses(records)
    assert len(set(many)) == len(many) == MOST_ADDRESSES
    assert one == "127.0.0.2"


async def test_a_name_too_long_to_be_asked_for() -> None:
    long = ".".join(["x" * 63] * 3 + ["y" * 62])
    assert len(parse_domain(long)) == 254
    failure = await ask(DnsDouble(PEER), long)
    assert failure == DnsFailure(problem=DnsProblem.NO_HOST, name=long)


async def test_the_name_server_may_change_between_two_messages() -> None:
    first, second = DnsDouble(PEER), DnsDouble({"peer.test": ["A 127.0.0.8"]})
    to = ToMailDomain(domain=parse_domain("peer.test"))
    async with first.running(), second.running():
        servers = iter([first.server, second.server])
        resolver = MxResolver(
            dns=lambda: Dns(server=next(servers), timeout=LONG),
            own_name="relay.lab.test",
            chance=random.Random(1),
        )
        answers = [await resolver.resolve(to), await resolver.resolve(to)]
    assert [answer[0].address for answer in answers if isinstance(answer, tuple)] == [
        "127.0.0.1",
        "127.0.0.8",
    ]


async def test_a_look_up_that_is_cancelled_leaves_nothing_open() -> None:
    double = DnsDouble(PEER, {"peer.test": Trouble.SILENT})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await ask(double)


async def test_a_policys_name_server_off_this_machine_is_not_asked() -> None:
    """192.0.2.1 is for documentation (RFC 5737); the refusal comes before any packet."""
    resolver = MxResolver(
        dns=lambda: Dns(server=NameServer(address="192.0.2.1"), timeout=LONG),
        own_name="relay.lab.test",
        chance=random.Random(1),
    )
    failure = await resolver.resolve(ToMailDomain(domain=parse_domain("peer.test")))
    assert isinstance(failure, LocalRefusal)
    assert failure.problem is LocalProblem.HOST_NOT_ALLOWED
    assert "192.0.2.1:53" in failure.detail


async def test_look_ups_take_turns_and_their_time_begins_with_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running: list[int] = []

    class Counted:
        """Counts from where a look-up's time begins to where it ends."""

        def __init__(self, dns: Dns) -> None:
            running.append(running[-1] + 1 if running else 1)

        async def exchangers(self, domain: str) -> DnsProblem:
            for _ in range(10):
                await asyncio.sleep(0)
            running.append(running[-1] - 1)
            return DnsProblem.NO_HOST

    monkeypatch.setattr("relay.lookup.mx.Records", Counted)
    resolver = MxResolver(dns=Dns, own_name="relay.lab.test", chance=random.Random(1))
    domains = [parse_domain(f"d{number}.test") for number in range(4 * LOOKUPS_AT_ONCE)]
    found = await asyncio.gather(
        *(resolver.resolve(ToMailDomain(domain=domain)) for domain in domains),
        *(resolver.has_exchangers(domain) for domain in domains),
    )
    assert len(running) == 2 * len(found)
    assert max(running) == LOOKUPS_AT_ONCE
