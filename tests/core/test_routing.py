"""Which destination, which hosts, in which order, and none that is this relay itself."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

import pytest

from relay.core.addresses import DomainPattern, parse_address, parse_domain
from relay.core.codebook_data import CODE_BOOKS
from relay.core.destinations import (
    Destination,
    PreferredHost,
    RoutedTo,
    ToCapture,
    ToHost,
    ToHosts,
    ToMailDomain,
    ToRecipientDomain,
    ToScenario,
    tls_modes,
)
from relay.core.outcomes import (
    Deferred,
    DnsFailure,
    DnsProblem,
    Failed,
    LocalProblem,
    LocalRefusal,
    outcome_of,
)
from relay.core.places import Place
from relay.core.routing import (
    ClearText,
    HostAddress,
    RelayHost,
    RetrySchedule,
    RouteRule,
    Routing,
    route,
)
from relay.core.settings import TlsMode

HERE = Place("p.yaml", 1)
PEER = ToMailDomain(domain=parse_domain("peer.test"))
TWICE = RetrySchedule(delays=(timedelta(minutes=5),))


def at(address: str, preference: int = 0, port: int = 25) -> HostAddress:
    return HostAddress(
        name=f"mx{address[-1]}.peer.test",
        address=address,
        port=port,
        mode=TlsMode.STARTTLS,
        preference=preference,
    )


ONE, TWO, THREE = at("127.0.0.1", 10), at("127.0.0.2", 20), at("127.0.0.3", 30)


def addresses(*answers: HostAddress, ours: frozenset[HostAddress] = frozenset()) -> list[str]:
    return [hop.address for hop in route(PEER, answers, TWICE, ours=ours).hops]


def test_hosts_come_by_preference_and_equal_ones_as_given() -> None:
    also_ten = at("127.0.0.9", 10)
    assert addresses(THREE, ONE, TWO, also_ten) == [
        "127.0.0.1",
        "127.0.0.9",
        "127.0.0.2",
        "127.0.0.3",
    ]


def test_a_plan_hands_on_names_ports_schedule_and_the_switch() -> None:
    implicit = HostAddress(name="a.test", address="::1", port=465, mode=TlsMode.IMPLICIT)
    plan = route(PEER, [implicit], TWICE, clear_text=ClearText.SAME_HOST)
    (hop,) = plan.hops
    assert (hop.host, hop.address, hop.port, hop.mode) == ("a.test", "::1", 465, TlsMode.IMPLICIT)
    assert (plan.schedule, plan.clear_text) == (TWICE, ClearText.SAME_HOST)


@pytest.mark.parametrize(
    ("to", "name"),
    [
        (PEER, "peer.test"),
        (ToHost(host="a.test"), "smtp://a.test:25"),
        (ToScenario(scenario="good"), "lab/good"),
    ],
)
def test_without_answers_the_plan_says_what_was_looked_up(to: Destination, name: str) -> None:
    plan = route(to, [], TWICE)
    assert plan.hops == ()
    assert plan.problem == DnsFailure(problem=DnsProblem.NO_HOST, name=name)


def test_a_resolvers_failure_is_the_plans_problem() -> None:
    failure = LocalRefusal(problem=LocalProblem.INTERNAL, detail="x")
    assert route(PEER, failure, TWICE).problem is failure


def test_ourselves_and_all_that_are_not_preferred_to_us_are_left_out() -> None:
    equal_to_two = at("127.0.0.8", 20)
    assert addresses(ONE, TWO, equal_to_two, THREE, ours=frozenset({TWO})) == ["127.0.0.1"]
    assert addresses(ONE, TWO, THREE, ours=frozenset({TWO, THREE})) == ["127.0.0.1"]
    assert addresses(ONE, TWO, THREE) == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]


def test_where_we_are_the_best_host_the_message_would_loop() -> None:
    plan = route(PEER, [ONE, TWO], TWICE, ours=frozenset({ONE}))
    assert plan.hops == ()
    assert plan.problem == DnsFailure(problem=DnsProblem.LOOPS_BACK, name="peer.test")


@pytest.mark.parametrize(
    ("problem", "kind", "codes"),
    [
        (DnsProblem.NO_HOST, Deferred, "454 4.4.4, 550 5.4.4, 450 4.4.312, 450 4.4.4"),
        (DnsProblem.LOOKUP_FAILED, Deferred, "451 4.4.3, 450 4.4.3, 450 4.4.312, 451 4.4.3"),
        (DnsProblem.NULL_MX, Failed, "550 5.4.4, 556 5.1.0, 556 5.1.10, 556 5.1.10"),
        (DnsProblem.LOOPS_BACK, Failed, "554 5.4.6, 554 5.4.6, 554 5.4.14, 554 5.4.6"),
    ],
)
def test_what_a_dns_problem_comes_to(problem: DnsProblem, kind: type, codes: str) -> None:
    failure = DnsFailure(problem=problem, name="peer.test")
    assert isinstance(outcome_of(failure), kind)
    assert codes == ", ".join(str(book.entry(failure).status) for book in CODE_BOOKS.values())


def routing(to: RoutedTo) -> Routing:
    pattern = DomainPattern.parse("*")
    rule = RouteRule(pattern=pattern, to=to, place=HERE)
    return Routing(routes=MappingProxyType({pattern: rule}))


@pytest.mark.parametrize(
    ("recipient", "port", "expected"),
    [
        ("a@Peer.test", 25, PEER),
        ("a@peer.test", 2525, ToMailDomain(domain=parse_domain("peer.test"), port=2525)),
        ("a@[127.0.0.7]", 25, ToHost(host="127.0.0.7")),
        ("a@[IPv6:::1]", 2525, ToHost(host="::1", port=2525)),
    ],
)
def test_mx_means_the_recipients_own_domain(
    recipient: str, port: int, expected: Destination
) -> None:
    domain = parse_address(recipient).domain
    to = ToRecipientDomain(port=port)
    assert routing(to).match(domain, sender=None).to == expected
    assert Routing(relay=RelayHost(to=to, place=HERE)).match(domain, sender=None).to == expected


@pytest.mark.parametrize(
    ("to", "text"),
    [
        (ToRecipientDomain(), "mx"),
        (ToRecipientDomain(port=2525), "mx:2525"),
        (PEER, "mx:peer.test"),
        (ToMailDomain(domain=parse_domain("peer.test"), port=26), "mx:peer.test:26"),
        (
            ToHosts(
                hosts=(
                    PreferredHost(to=ToHost(host="::1"), preference=10),
                    PreferredHost(to=ToScenario(scenario="good"), preference=20),
                )
            ),
            "smtp://[::1]:25 (10), lab/good (20)",
        ),
    ],
)
def test_a_destination_reads_as_it_is_written(to: RoutedTo, text: str) -> None:
    assert str(to) == text


def test_the_ways_of_starting_tls_among_several_hosts() -> None:
    implicit = PreferredHost(to=ToHost(host="a", port=465, mode=TlsMode.IMPLICIT), preference=1)
    captured = PreferredHost(to=ToCapture(), preference=2)
    assert tls_modes(ToHosts(hosts=(implicit,))) == {TlsMode.IMPLICIT}
    assert tls_modes(ToHosts(hosts=(implicit, captured))) == set(TlsMode)
    assert tls_modes(PEER) == {TlsMode.STARTTLS}
