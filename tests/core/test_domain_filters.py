"""Which filter leads where, whose setting holds, and secrets that keep to themselves."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.addresses import EVERY_DOMAIN, Domain, DomainPattern, domain_of
from relay.core.delivery import Policy
from relay.core.destinations import ToCapture, ToHost, ToMxOrHost, ToNowhere, ToScenario
from relay.core.email_relays import (
    AuthMechanism,
    Credentials,
    DomainFilter,
    EmailRelay,
    EmailRelays,
    Secret,
)
from relay.core.jsonform import to_json
from relay.core.places import Place
from relay.core.routing import RelayHost, RouteOrigin, RouteRule, Routing
from relay.core.salesforce import EmailRelayTls, InvalidDomains, SalesforceSwitches
from relay.core.settings import TlsSetting
from relay.core.tls_policy import RuleOrigin, TlsPolicy, build_table

HERE = Place("p.yaml", 7)
CREDENTIALS = Credentials(username="org", password=Secret("hunter2"))


def policy_of(setting: TlsSetting) -> TlsPolicy:
    return TlsPolicy.for_setting(setting)


def relay(name: str, setting: TlsSetting = TlsSetting.PREFERRED) -> EmailRelay:
    host = ToMxOrHost(domain=Domain(f"{name}.example"))
    return EmailRelay(name=name, to=host, tls=policy_of(setting), place=HERE)


A, B = relay("a", TlsSetting.REQUIRED), relay("b")
RELAYS = MappingProxyType({"a": A, "b": B})


def rule(
    priority: int, to_relay: str = "a", *, senders: str = "", to: str = "", active: bool = True
) -> DomainFilter:
    def patterns(text: str) -> tuple[DomainPattern, ...]:
        return tuple(DomainPattern.parse(part) for part in text.split())

    return DomainFilter(
        relay=to_relay,
        senders=patterns(senders),
        recipients=patterns(to),
        priority=priority,
        active=active,
        place=HERE,
    )


def relays(*filters: DomainFilter) -> EmailRelays:
    return EmailRelays(relays=RELAYS, filters=filters)


def chosen(filters: EmailRelays, recipient: str, sender: str | None) -> int | None:
    found = filters.match(Domain(recipient), None if sender is None else Domain(sender))
    return None if found is None else found.priority


@pytest.mark.parametrize(
    ("recipient", "sender", "priority"),
    [
        ("partner.example", "sales.example", 1),
        ("partner.example", "eu.sales.example", 2),
        ("partner.example", "other.example", 4),
        ("partner.example", None, 4),
        ("sub.partner.example", "sales.example", 3),
        ("elsewhere.example", "sales.example", None),
        ("elsewhere.example", None, None),
    ],
)
def test_the_first_filter_by_priority_that_matches_decides(
    recipient: str, sender: str | None, priority: int | None
) -> None:
    filters = relays(
        rule(4, to="partner.example"),
        rule(3, senders="sales.example", to="*.partner.example"),
        rule(2, senders="*.sales.example"),
        rule(1, "b", senders="sales.example", to="partner.example other.example"),
    )
    assert chosen(filters, recipient, sender) == priority


def test_no_pattern_stands_for_the_null_reverse_path() -> None:
    everybody = rule(1, senders="*")
    assert everybody.matches(Domain("x.example"), Domain("y.example"))
    assert not everybody.matches(Domain("x.example"), None)
    assert rule(1).matches(Domain("x.example"), None)
    assert domain_of("") is None
    assert domain_of("jane@Example.COM") == "example.com"


def test_an_inactive_filter_does_not_count_and_leaves_its_relay_inert() -> None:
    filters = relays(rule(1, "a", active=False), rule(2, "b", to="x.example"))
    assert chosen(filters, "x.example", None) == 2
    assert filters.inert() == (A,)
    assert relays(rule(1, "a"), rule(2, "b")).inert() == ()


@pytest.mark.parametrize(
    ("filters", "name"),
    [
        ((), None),
        ((rule(1),), "a"),
        ((rule(1, to="*"),), "a"),
        ((rule(1, senders="*"),), None),
        ((rule(1, active=False),), None),
        ((rule(1, to="x.example"),), None),
        ((rule(1, to="x.example"), rule(2)), "a"),
        ((rule(1, "b", to="x.example"), rule(2)), None),
        ((rule(1, "b", to="x.example", active=False), rule(2)), "a"),
        ((rule(2, "b"), rule(1)), "a"),
    ],
)
def test_one_relay_in_front_of_everything(
    filters: tuple[DomainFilter, ...], name: str | None
) -> None:
    found = relays(*filters).carries_everything
    assert (found and found.name) == name


_domains = st.sampled_from(["a.example", "b.a.example", "b.example", "example"])
_patterns = st.lists(
    st.sampled_from(["a.example", "*.a.example", "*.example", "*", "b.example"]), max_size=2
).map(" ".join)


@st.composite
def _filters(draw: st.DrawFn) -> tuple[DomainFilter, ...]:
    priorities = draw(st.lists(st.integers(1, 9), unique=True, max_size=5))
    return tuple(
        rule(
            priority,
            draw(st.sampled_from("ab")),
            senders=draw(_patterns),
            to=draw(_patterns),
            active=draw(st.booleans()),
        )
        for priority in priorities
    )


@given(_filters(), _domains, st.none() | _domains, st.randoms())
def test_the_order_in_the_file_is_of_no_account(
    filters: tuple[DomainFilter, ...], recipient: str, sender: str | None, chance: object
) -> None:
    """First match by priority alone; and whatever carries everything carries this message, too."""
    shuffled = list(filters)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    got = chosen(relays(*shuffled), recipient, sender)
    domain, origin = Domain(recipient), None if sender is None else Domain(sender)
    matching = [f.priority for f in filters if f.matches(domain, origin)]
    assert got == min(matching, default=None)
    carrier = relays(*filters).carries_everything
    if carrier is not None:
        found = relays(*filters).match(domain, origin)
        assert found is not None
        assert found.relay == carrier.name


def test_what_can_not_be() -> None:
    with pytest.raises(ValueError, match="one priority"):
        relays(rule(1), rule(1, "b"))
    with pytest.raises(ValueError, match="not there"):
        relays(rule(1, "c"))
    with pytest.raises(ValueError, match="NUL"):
        Credentials(username="a\0b", password=Secret("x"))
    with pytest.raises(ValueError, match="NUL"):
        Credentials(username="a", password=Secret("x\0"))


@pytest.mark.parametrize("setting", TlsSetting)
def test_credentials_are_for_required_verify_alone(setting: TlsSetting) -> None:
    for credentials in (None, CREDENTIALS):
        with_them = {f: getattr(A, f) for f in ("name", "to", "place")}
        if credentials is None or setting is TlsSetting.REQUIRED_VERIFY:
            made = EmailRelay(tls=policy_of(setting), credentials=credentials, **with_them)
            assert made.credentials == credentials
        else:
            with pytest.raises(ValueError, match="Required Verify"):
                EmailRelay(tls=policy_of(setting), credentials=credentials, **with_them)


def test_a_secret_shows_itself_to_nobody_who_does_not_ask() -> None:
    kept = replace(A, tls=policy_of(TlsSetting.REQUIRED_VERIFY), credentials=CREDENTIALS)
    for shown in (repr(kept), str(kept), f"{CREDENTIALS.password}", repr(CREDENTIALS)):
        assert "hunter2" not in shown
    for store in (to_json, pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError):
            store(CREDENTIALS)
    assert CREDENTIALS.password.reveal() == "hunter2"
    assert CREDENTIALS.password == Secret("hunter2") != Secret("other")
    assert CREDENTIALS.mechanism is AuthMechanism.PLAIN


ROUTES = MappingProxyType(
    {EVERY_DOMAIN: RouteRule(pattern=EVERY_DOMAIN, to=ToHost(host="r.example"), place=HERE)}
)


def policy(routing: Routing, switches: SalesforceSwitches | None = None) -> Policy:
    return Policy(
        source="p.yaml",
        sha256="0",
        tls=build_table(default=policy_of(TlsSetting.REQUIRED_VERIFY), default_place=HERE),
        routing=routing,
        salesforce=switches or SalesforceSwitches(),
    )


def test_a_filter_comes_before_a_route_and_its_relays_setting_holds() -> None:
    routing = Routing(routes=ROUTES, email_relays=relays(rule(3, to="x.example")))
    way = policy(routing).way(Domain("x.example"), sender=None)
    assert (way.route.to, way.route.origin, way.route.email_relay) == (
        A.to,
        RouteOrigin.EMAIL_RELAY,
        A,
    )
    assert way.route.reason == (
        "domain filter 3 (from anyone to x.example) leads to the email relay a"
    )
    assert way.tls.policy == A.tls
    assert (way.tls.rule.origin, way.tls.rule.place) == (RuleOrigin.EMAIL_RELAY, HERE)
    assert way.tls.reason == "the email relay a has a setting of its own"
    assert replace(way.tls, floor=TlsSetting.REQUIRED_VERIFY).policy.setting is (
        TlsSetting.REQUIRED_VERIFY
    )

    direct = policy(routing).way(Domain("y.example"), sender=None)
    assert (direct.route.origin, direct.tls.policy.setting) == (
        RouteOrigin.ROUTE,
        TlsSetting.REQUIRED_VERIFY,
    )


def test_the_recipients_domain_may_decide_instead() -> None:
    switches = SalesforceSwitches(email_relay_tls=EmailRelayTls.RECIPIENT_DOMAIN)
    way = policy(Routing(email_relays=relays(rule(1))), switches).way(
        Domain("x.example"), sender=None
    )
    assert way.route.email_relay == A
    assert way.tls.policy.setting is TlsSetting.REQUIRED_VERIFY
    assert way.tls.rule.origin is RuleOrigin.DEFAULT


def test_what_is_in_front_of_everything_is_said_so() -> None:
    routing = Routing(email_relays=relays(rule(1)))
    assert routing.in_front == "the email relay a: mx-or-host:a.example"
    reason = routing.match(Domain("x.example"), sender=None).reason
    assert reason.startswith("everything goes through the email relay a, by domain filter 1")
    one = Routing(relay=RelayHost(to=ToScenario(scenario="good"), place=HERE))
    assert one.in_front == "one relay: lab/good"
    assert Routing(routes=ROUTES).in_front is None


@pytest.mark.parametrize("domain", ["invalid", "x.invalid", "a.b.invalid"])
def test_below_invalid(domain: str) -> None:
    for routing in (
        Routing(email_relays=relays(rule(1))),
        Routing(relay=RelayHost(to=ToCapture(), place=HERE)),
        Routing(routes=ROUTES),
    ):
        dropping = replace(routing, invalid_domains=InvalidDomains.DISCARD)
        dropped = dropping.match(Domain(domain), sender=None)
        assert (dropped.to, dropped.origin) == (ToNowhere(), RouteOrigin.INVALID_DOMAIN)
        assert dropped.reason == "mail to a domain below .invalid is dropped, and reads as sent"
        assert routing.match(Domain(domain), sender=None).to != ToNowhere()
        assert dropping.match(Domain("notinvalid"), sender=None).to != ToNowhere()
