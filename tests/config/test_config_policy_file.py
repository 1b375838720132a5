"""What a policy file says becomes the core's policy."""

import hashlib
from datetime import timedelta
from pathlib import Path

import pytest

from relay.config.policy_file import load_policy, load_policy_text
from relay.config.problems import PolicyFileError
from relay.core.addresses import DomainPattern, parse_address, parse_domain
from relay.core.codebook_data import EXCHANGE, SALESFORCE
from relay.core.delivery import BareLineEnds, Delivery, Policy
from relay.core.destinations import (
    Destination,
    ToCapture,
    ToHost,
    ToHosts,
    ToMailDomain,
    ToScenario,
)
from relay.core.failure_kinds import FailureKind
from relay.core.places import Place
from relay.core.replies import ReplyMode
from relay.core.routing import ONE_TRY, ClearText, Dns, NameServer, RouteOrigin
from relay.core.settings import OnBadCertificate, TlsMode, TlsSetting, TlsVersion
from relay.core.tls_policy import CommonName, NamePolicy, RuleOrigin, TlsPolicy, TrustAnchors


def load(text: str) -> Policy:
    return load_policy_text(text, name="p.yaml")


def tls_for(policy: Policy, domain: str) -> TlsPolicy:
    return policy.tls.match(parse_domain(domain)).policy


def test_an_empty_file_is_salesforce_s_default() -> None:
    for text in ("", "# nothing but a comment\n", "---\n", "{}"):
        policy = load(text)
        assert tls_for(policy, "a.example") == TlsPolicy.for_setting(TlsSetting.PREFERRED)
        assert policy.delivery == Delivery()
        assert policy.codes is SALESFORCE
        assert (
            policy.routing.match(parse_domain("a.example"), sender=None).origin
            is RouteOrigin.CAPTURE
        )


@pytest.mark.parametrize(
    ("spelling", "setting"),
    [
        ("Off", TlsSetting.OFF),
        ("off", TlsSetting.OFF),
        ("OFF", TlsSetting.OFF),
        ("Preferred", TlsSetting.PREFERRED),
        ("Preferred Verify", TlsSetting.PREFERRED_VERIFY),
        ("PreferredVerify", TlsSetting.PREFERRED_VERIFY),
        ("preferred-verify", TlsSetting.PREFERRED_VERIFY),
        ("'Required'", TlsSetting.REQUIRED),
        ("Required Verify", TlsSetting.REQUIRED_VERIFY),
        ("RequiredVerify", TlsSetting.REQUIRED_VERIFY),
    ],
)
def test_each_spelling_of_a_setting(spelling: str, setting: TlsSetting) -> None:
    assert tls_for(load(f"tls: {spelling}"), "a.example").setting is setting


FOUNDING = """\
tls: Required
restrict_tls_to: "*.subdomains.com, partner-x.com"
routes:
  - {match: "*.subdomains.com", to: lab/no-starttls}
  - {match: subdomains.com, to: lab/no-starttls}
"""


@pytest.mark.parametrize(
    ("address", "setting", "column", "route"),
    [
        ("john@aco.subdomains.com", TlsSetting.REQUIRED, 19, "lab/no-starttls"),
        ("john@bco.subdomains.com", TlsSetting.REQUIRED, 19, "lab/no-starttls"),
        ("john@deep.aco.SUBDOMAINS.com", TlsSetting.REQUIRED, 19, "lab/no-starttls"),
        ("john@subdomains.com", TlsSetting.PREFERRED, 19, "lab/no-starttls"),
        ("john@notsubdomains.com", TlsSetting.PREFERRED, 19, "capture"),
        ("john@partner-x.com", TlsSetting.REQUIRED, 37, "capture"),
        ("john@mail.partner-x.com", TlsSetting.PREFERRED, 19, "capture"),
    ],
)
def test_the_founding_question(address: str, setting: TlsSetting, column: int, route: str) -> None:
    policy = load(FOUNDING)
    domain = parse_address(address).domain
    match = policy.tls.match(domain)
    assert match.policy.setting is setting
    assert match.rule.place == Place("p.yaml", 2, column)
    assert str(policy.routing.match(domain, sender=None).to) == route


@pytest.mark.parametrize("empty", ['""', "[]", "", '" , "'])
def test_an_empty_restriction_means_every_domain(empty: str) -> None:
    policy = load(f"tls: Required\nrestrict_tls_to: {empty}\n")
    match = policy.tls.match(parse_domain("anything.example"))
    assert match.policy.setting is TlsSetting.REQUIRED
    assert match.rule.origin is RuleOrigin.DEFAULT


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("restrict_tls_to: a.example,b.example", [(1, 18), (1, 28)]),
        ("restrict_tls_to: ' a.example ,  b.example,'", [(1, 20), (1, 33)]),
        ("restrict_tls_to: [a.example, 'b.example']", [(1, 19), (1, 30)]),
        ("restrict_tls_to:\n  - a.example\n  - b.example", [(2, 5), (3, 5)]),
        ("restrict_tls_to: >\n  a.example,\n  b.example", [(1, 18), (1, 18)]),
        ('restrict_tls_to: "a.example,\\u0062.example"', [(1, 18), (1, 18)]),
    ],
)
def test_each_restricted_domain_has_its_place(text: str, places: list[tuple[int, int]]) -> None:
    policy = load(f"{text}\ntls: Required\n")
    found = [
        policy.tls.rules[DomainPattern.parse(name)].place for name in ("a.example", "b.example")
    ]
    assert [(place.line, place.column) for place in found] == places


def test_a_rule_keeps_what_it_does_not_change() -> None:
    policy = load(
        """\
tls: Required Verify
minimum_tls: 1.3
names: [mx.example]
common_name: fallback
rules:
  - {match: a.bank.example, also_match_domain: true}
  - {match: "*.bank.example", tls: Off, names: [mx.bank.example]}
  - {match: b.example, tls: Preferred, minimum_tls: "1.2"}
"""
    )
    wildcard = tls_for(policy, "x.bank.example")
    assert wildcard.setting is TlsSetting.OFF
    assert wildcard.minimum_tls is TlsVersion.TLS1_3
    assert wildcard.names == NamePolicy(
        extra=(parse_domain("mx.bank.example"),), common_name=CommonName.FALLBACK
    )
    exact = tls_for(policy, "a.bank.example")
    assert exact.setting is TlsSetting.OFF
    assert exact.names == NamePolicy(
        extra=(parse_domain("mx.bank.example"),),
        recipient_domain=True,
        common_name=CommonName.FALLBACK,
    )
    assert tls_for(policy, "b.example").minimum_tls is TlsVersion.TLS1_2
    assert policy.tls.match(parse_domain("x.bank.example")).rule.place == Place("p.yaml", 7, 13)


def test_a_rule_for_a_restricted_domain_keeps_what_the_restriction_gives() -> None:
    policy = load(
        """tls: Required Verify
names: [mx.example]
restrict_tls_to: a.example
rules:
  - {match: "*.example", names: [other.example], minimum_tls: 1.3}
  - {match: a.example, common_name: fallback}
"""
    )
    found = tls_for(policy, "a.example")
    assert found.setting is TlsSetting.REQUIRED_VERIFY
    assert found.minimum_tls is TlsVersion.TLS1_2
    assert found.names == NamePolicy(
        extra=(parse_domain("mx.example"),), common_name=CommonName.FALLBACK
    )


def test_a_rule_can_take_names_away_again() -> None:
    policy = load("names: [mx.example]\nrules: [{match: a.example, names: []}]")
    assert tls_for(policy, "a.example").names.extra == ()
    assert tls_for(policy, "b.example").names.extra == ("mx.example",)


def test_trust_and_revocation_lists_are_files_beside_the_policy(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (tmp_path / "crl.pem").write_text("-----BEGIN X509 CRL-----\n")
    path = tmp_path / "policy.yaml"
    path.write_text(
        "tls: Required Verify\ncrl: [crl.pem]\n"
        "rules:\n  - {match: a.example, trust: [system, ca.pem]}\n  - {match: b.example, crl: []}\n"
    )
    policy = load_policy(path)
    crl, ca = str(tmp_path / "crl.pem"), str(tmp_path / "ca.pem")
    assert tls_for(policy, "other.example").trust == TrustAnchors(lab=True, crl_files=(crl,))
    assert tls_for(policy, "a.example").trust == TrustAnchors(
        lab=False, system=True, ca_files=(ca,), crl_files=(crl,)
    )
    assert tls_for(policy, "b.example").trust == TrustAnchors(lab=True)


def test_preferred_verify_follows_the_document_that_the_file_names() -> None:
    key = "preferred_verify_on_bad_certificate"
    text = "tls: Preferred Verify\nrules: [{match: a.example, tls: Preferred Verify}]\n"
    default, switched = load(text), load(f"{text}salesforce: {{{key}: clear}}")
    for domain in ("a.example", "b.example"):
        assert tls_for(default, domain).on_bad_certificate is OnBadCertificate.TERMINATE
        assert tls_for(switched, domain).on_bad_certificate is OnBadCertificate.CLEAR


@pytest.mark.parametrize(
    ("to", "destination"),
    [
        ("lab/no-starttls", ToScenario(scenario="no-starttls")),
        ("capture", ToCapture()),
        ("localhost", ToHost(host="localhost")),
        ("MX.Example.com.", ToHost(host="mx.example.com")),
        ("mx.example.com:2525", ToHost(host="mx.example.com", port=2525)),
        ("127.0.0.1:2525", ToHost(host="127.0.0.1", port=2525)),
        ('"[::1]:2525"', ToHost(host="::1", port=2525)),
        ('"[::1]"', ToHost(host="::1", port=25)),
        ("smtp://mx.example.com", ToHost(host="mx.example.com", port=25)),
        ("smtps://mx.example.com", ToHost(host="mx.example.com", port=465, mode=TlsMode.IMPLICIT)),
        ("'smtps://[::1]:1465'", ToHost(host="::1", port=1465, mode=TlsMode.IMPLICIT)),
    ],
)
def test_each_form_of_a_destination(to: str, destination: Destination) -> None:
    domain = parse_domain("a.example")
    route = load(f"routes:\n  - match: a.example\n    to: {to}\n").routing.match(
        domain, sender=None
    )
    assert (route.to, route.origin, route.place) == (
        destination,
        RouteOrigin.ROUTE,
        Place("p.yaml", 2, 12),
    )
    relay = load(f"relay: {to}\n").routing.match(domain, sender=None)
    assert (relay.to, relay.origin, relay.place) == (
        destination,
        RouteOrigin.RELAY,
        Place("p.yaml", 1, 8),
    )


def test_a_relay_as_a_mapping() -> None:
    relay = load("relay:\n  host: smtp.example.com\n  tls_mode: implicit\n").routing.relay
    assert relay is not None
    assert relay.to == ToHost(host="smtp.example.com", port=465, mode=TlsMode.IMPLICIT)
    assert relay.place == Place("p.yaml", 2, 9)
    assert load("relay: {host: '::1', port: 587}").routing.match(
        parse_domain("a.example"), sender=None
    ).to == ToHost(host="::1", port=587)


@pytest.mark.parametrize(
    ("to", "destination"),
    [
        ("mx:Peer.Example", ToMailDomain(domain=parse_domain("peer.example"))),
        ("MX:peer.example:2525", ToMailDomain(domain=parse_domain("peer.example"), port=2525)),
        ("mx", ToMailDomain(domain=parse_domain("a.example"))),
        ("mx:2525", ToMailDomain(domain=parse_domain("a.example"), port=2525)),
        ("smtp://mx", ToHost(host="mx")),
        ("{host: b.example, port: 587}", ToHost(host="b.example", port=587)),
    ],
)
def test_mail_domains_and_a_host_as_a_mapping(to: str, destination: Destination) -> None:
    domain = parse_domain("a.example")
    for text in (f"routes: [{{match: '*', to: {to}}}]", f"relay: {to}"):
        assert load(text).routing.match(domain, sender=None).to == destination


def test_several_hosts_and_their_preferences() -> None:
    hosts = "[a.example:26, {host: lab/good}, {host: b.example, tls_mode: implicit, preference: 1}]"
    for text in (f"routes: [{{match: '*', to: {hosts}}}]", f"relay: {hosts}"):
        to = load(text).routing.match(parse_domain("x.example"), sender=None).to
        assert isinstance(to, ToHosts)
        assert [(host.to, host.preference) for host in to.hosts] == [
            (ToHost(host="a.example", port=26), 10),
            (ToScenario(scenario="good"), 20),
            (ToHost(host="b.example", port=465, mode=TlsMode.IMPLICIT), 1),
        ]


def test_a_host_without_preference_comes_after_the_one_before_it() -> None:
    to = load("relay: [{host: a.example, preference: 35}, b.example, {host: c.example}]").routing
    assert to.relay is not None
    assert isinstance(to.relay.to, ToHosts)
    assert [host.preference for host in to.relay.to.hosts] == [35, 45, 55]


def test_the_name_server() -> None:
    assert load("").routing.dns == Dns(server=None, timeout=timedelta(seconds=5))
    assert load("dns: {server: 127.0.0.1, timeout: 1s}").routing.dns == Dns(
        server=NameServer(address="127.0.0.1", port=53), timeout=timedelta(seconds=1)
    )
    assert load("dns: {server: '[::1]:5353'}").routing.dns.server == NameServer(
        address="::1", port=5353
    )


def test_clear_text_among_several_hosts() -> None:
    assert load("").routing.clear_text is ClearText.AFTER_ALL_HOSTS
    assert load("clear_text: same-host").routing.clear_text is ClearText.SAME_HOST


def test_times_in_each_unit() -> None:
    policy = load("reply_within: 1.5m\nconnect_timeout: 250ms\ncommand_timeout: 3\n")
    assert policy.delivery.reply_within == timedelta(seconds=90)
    assert policy.delivery.connect_timeout == timedelta(milliseconds=250)
    assert policy.delivery.command_timeout == timedelta(seconds=3)


@pytest.mark.parametrize("written", ["-86399999913601.0", "-1", "0.0000000001", "999999999999999"])
def test_numbers_that_are_no_durations(written: str) -> None:
    with pytest.raises(PolicyFileError, match=r"is too (short|long)"):
        load(f"reply_within: {written}")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("", BareLineEnds.REFUSE),
        ("bare_line_ends: refuse", BareLineEnds.REFUSE),
        ("bare_line_ends: normalise", BareLineEnds.NORMALISE),
    ],
)
def test_bare_line_ends(text: str, choice: BareLineEnds) -> None:
    assert load(text).delivery.bare_line_ends is choice


MINUTE = timedelta(minutes=1)


def test_queued_mail_is_tried_again_as_salesforce_does() -> None:
    for retry in ("", "retry: salesforce"):
        delivery = load(f"reply: queued\n{retry}").delivery
        assert delivery.reply is ReplyMode.QUEUED
        assert delivery.schedule.delays == tuple(
            MINUTE * minutes for minutes in (5, 10, 20, 40, 80, 160, 320, 640)
        )
        assert delivery.schedule.expire_after == timedelta(hours=24)


def test_a_time_scale_plays_the_day_in_a_minute() -> None:
    schedule = load("reply: queued\nretry: {time_scale: 1440}").delivery.schedule
    assert schedule.expire_after == MINUTE
    assert len(schedule.delays) == 8
    assert sum(schedule.delays, timedelta()) < MINUTE


def test_own_delays_end_with_the_last_try_unless_told_otherwise() -> None:
    schedule = load("reply: queued\nretry: {delays: [10s, 1m], time_scale: 2}").delivery.schedule
    assert schedule.delays == (timedelta(seconds=5), timedelta(seconds=30))
    assert schedule.expire_after is None
    schedule = load(
        "reply: queued\nretry: {attempts: 3, first_delay: 1s, factor: 1.5, expire_after: 1h}"
    ).delivery.schedule
    assert schedule.delays == (timedelta(seconds=1), timedelta(seconds=1.5))
    assert schedule.expire_after == timedelta(hours=1)


@pytest.mark.parametrize(
    "text", ["", "reply: inline\nretry: salesforce", "reply: queued\nretry: none"]
)
def test_one_try(text: str) -> None:
    assert load(text).delivery.schedule == ONE_TRY


def test_a_code_book_and_single_entries() -> None:
    assert load("codes: exchange").codes is EXCHANGE
    codes = load('codes: {book: exchange, tls-not-offered: "450 4.7.4 no TLS"}').codes
    assert str(codes.entries[FailureKind.TLS_NOT_OFFERED]) == "450 4.7.4 no TLS"
    assert codes.entries[FailureKind.TLS_REFUSED] == EXCHANGE.entries[FailureKind.TLS_REFUSED]
    codes = load('codes: {internal: "451 4.3.0 oh"}').codes
    assert codes.name == "salesforce"


def test_the_policy_knows_its_file_and_digest(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = b"\xef\xbb\xbftls: Off\r\n# \xc3\xa9\r\n"
    Path("p.yaml").write_bytes(data)
    policy = load_policy(Path("p.yaml"))
    assert (policy.source, policy.sha256) == ("p.yaml", hashlib.sha256(data).hexdigest())
    assert policy.tls.match(parse_domain("a.example")).rule.place == Place("p.yaml", 1, 6)


def test_scenario_names_are_checked_when_they_are_known() -> None:
    text = "routes: [{match: a.example, to: lab/expird}]\nrelay: lab/god"
    assert load(text).routing.relay is not None
    with pytest.raises(PolicyFileError) as caught:
        load_policy_text(text, name="p", known_scenarios=frozenset({"good", "expired"}))
    assert [(p.path, p.hint) for p in caught.value.problems] == [
        ("routes[0].to", "did you mean 'expired'?"),
        ("relay", "did you mean 'good'?"),
    ]
