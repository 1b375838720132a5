"""Email relays, domain filters and Salesforce's switches, as a policy file has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from relay.cli.policy import app
from relay.config.lint import lint
from relay.config.policy_file import load_policy_text, parse_policy
from relay.core.addresses import Domain, DomainPattern
from relay.core.delivery import Policy
from relay.core.destinations import Destination, ToCapture, ToHost, ToMxOrHost, ToScenario
from relay.core.email_relays import AuthMechanism, EmailRelay, Secret
from relay.core.places import Place
from relay.core.salesforce import (
    EmailRelayTls,
    InvalidDomains,
    OnTlsFailure,
    RefusedStarttls,
    SalesforceSwitches,
)
from relay.core.settings import OnBadCertificate, TlsSetting, TlsVersion
from relay.core.tls_policy import NamePolicy

RELAY = "email_relays: [{name: r, host: smtp.example.com, tls: Required Verify}]\n"
ALL = "domain_filters: [{relay: r}]\n"


def load(text: str) -> Policy:
    return load_policy_text(text, name="p.yaml")


def relay(keys: str, more: str = "") -> EmailRelay:
    return load(f"email_relays: [{{name: r, {keys}}}]\n{more}").routing.email_relays.relays["r"]


@pytest.mark.parametrize(
    ("keys", "to"),
    [
        ("host: Example.COM", ToMxOrHost(domain=Domain("example.com"))),
        ("host: smtp, port: 587", ToMxOrHost(domain=Domain("smtp"), port=587)),
        ("host: 127.0.0.1, port: 11025", ToHost(host="127.0.0.1", port=11025)),
        ("host: '[::1]', port: 10025", ToHost(host="::1", port=10025)),
        ("host: lab/good", ToScenario(scenario="good")),
        ("host: capture", ToCapture()),
    ],
)
def test_hosts(keys: str, to: Destination) -> None:
    assert relay(keys).to == to


def test_a_relays_tls_is_its_own_and_the_rest_is_the_policys() -> None:
    assert relay("host: a.example").tls.setting is TlsSetting.PREFERRED
    got = relay(
        "host: a.example, tls: PreferredVerify",
        "tls: Off\nminimum_tls: 1.3\nnames: [b.example]\n"
        "salesforce: {preferred_verify_on_bad_certificate: clear}\n",
    )
    assert got.tls.setting is TlsSetting.PREFERRED_VERIFY
    assert got.tls.minimum_tls is TlsVersion.TLS1_3
    assert got.tls.on_bad_certificate is OnBadCertificate.CLEAR
    assert got.tls.names == NamePolicy(extra=(Domain("b.example"),))
    assert got.place == Place("p.yaml", 1, 48)


@pytest.mark.parametrize(("host", "extra"), [("a.example", ("a.example",)), ("127.0.0.1", ())])
def test_a_relays_certificate_may_bear_the_relays_domain_not_the_recipients(
    host: str, extra: tuple[str, ...]
) -> None:
    names = relay(f"host: {host}", "also_match_domain: true").tls.names
    assert (names.extra, names.recipient_domain) == (extra, False)


def test_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELAY_TEST_PASSWORD", "from environment")
    (tmp_path / "password").write_text("from file\n")
    for mechanism, source, password in (
        ("LOGIN", "password_env: RELAY_TEST_PASSWORD", "from environment"),
        ("plain", "password_file: password", "from file"),
        ("PLAIN", "password: 'from policy'", "from policy"),
    ):
        auth = f"{{mechanism: {mechanism}, username: u, {source}}}"
        text = RELAY.replace("Verify}", f"Verify, auth: {auth}}}")
        loaded = parse_policy(text, name="p.yaml", base=tmp_path)
        credentials = loaded.policy.routing.email_relays.relays["r"].credentials
        assert credentials is not None
        assert credentials.mechanism is AuthMechanism(mechanism.upper())
        assert (credentials.username, credentials.password) == ("u", Secret(password))
        assert password not in repr(loaded.policy)


def test_filters() -> None:
    text = RELAY + (
        "domain_filters:\n"
        "  - {relay: r, from: 'a.example, *.b.example', to: [c.example]}\n"
        "  - {relay: r, priority: 7, active: false}\n"
        "  - {relay: r, from: , priority: }\n"
        "  - {relay: r, priority: 2}\n"
    )
    filters = load(text).routing.email_relays.filters
    assert [(f.priority, f.active, f.place.line) for f in filters] == [
        (2, True, 6),
        (7, False, 4),
        (8, True, 3),
        (9, True, 5),
    ]
    assert filters[2].senders == tuple(map(DomainPattern.parse, ("a.example", "*.b.example")))
    assert filters[2].recipients == (DomainPattern.parse("c.example"),)
    assert filters[3].senders == filters[3].recipients == ()


def test_switches_have_salesforces_defaults_and_can_be_turned() -> None:
    for text in ("", "salesforce: {}", "salesforce: {preferred_verify_on_bad_certificate: clear}"):
        policy = load(text)
        assert policy.salesforce == SalesforceSwitches()
        assert policy.codes.refused_starttls is RefusedStarttls.NO_GO_AHEAD
        assert policy.routing.invalid_domains is InvalidDomains.TRY
    turned = load(
        "tls: Required\ncodes: rfc\nsalesforce: {on_tls_failure: bounce-at-once, "
        "refused_starttls: host-reply, email_relay_tls: recipient-domain, "
        "invalid_domains: discard, required_on_bad_certificate: terminate, "
        "spf_compliance: true, sender_id_compliance: true, compliance_bcc: a@b.example}"
    )
    assert turned.salesforce == SalesforceSwitches(
        on_tls_failure=OnTlsFailure.BOUNCE_AT_ONCE,
        refused_starttls=RefusedStarttls.HOST_REPLY,
        email_relay_tls=EmailRelayTls.RECIPIENT_DOMAIN,
        invalid_domains=InvalidDomains.DISCARD,
        spf_compliance=True,
        sender_id_compliance=True,
        compliance_bcc="a@b.example",
    )
    assert (turned.codes.name, turned.codes.refused_starttls) == ("rfc", RefusedStarttls.HOST_REPLY)
    assert turned.routing.invalid_domains is InvalidDomains.DISCARD
    table = turned.tls.match(Domain("x.example")).policy
    assert table.on_bad_certificate is OnBadCertificate.TERMINATE


def warnings(text: str) -> list[tuple[str, str]]:
    return [(p.path, p.message) for p in lint(parse_policy(text, name="f", base=Path()))]


@pytest.mark.parametrize(
    "text",
    [
        RELAY + ALL,
        RELAY + ALL + "dns: {timeout: 1s}",
        RELAY.replace("}]", ", port: 10025}]") + ALL,
        RELAY + "domain_filters: [{relay: r, to: a.example}]\nroutes: [{match: b.example, to: mx}]",
        RELAY + "domain_filters: [{relay: r, active: false, priority: 1}, {relay: r}]",
        "tls: Required\nsalesforce: {required_on_bad_certificate: terminate}",
        "reply: queued\nsalesforce: {on_tls_failure: bounce-at-once}",
        "salesforce: {on_tls_failure: retry, invalid_domains: try}",
        "salesforce: {bounce_management: {rule: pardot}, spf_compliance: true}",
        "salesforce: {bounce_management: {rule: salesforce, flag_contact_on: hard}}",
        "relay: lab/good\nsalesforce: {compliance_bcc: a@b.example, sender_id_compliance: true}",
    ],
)
def test_nothing_to_say(text: str) -> None:
    assert warnings(text) == []


@pytest.mark.parametrize(
    ("text", "path", "words"),
    [
        (RELAY, "email_relays[0].name", "the relay 'r' is inert"),
        (
            RELAY + "domain_filters: [{relay: r, active: false}]",
            "email_relays[0].name",
            "the relay 'r' is inert",
        ),
        (RELAY.replace("}]", ", port: 465}]") + ALL, "email_relays[0].port", "no port 465"),
        (
            RELAY.replace("Verify}", "Verify, auth: {username: u, password: p}}") + ALL,
            "email_relays[0].auth.password",
            "the password stands in the policy file itself",
        ),
        (
            RELAY.replace("smtp.example.com", "127.0.0.1") + ALL,
            "email_relays[0].host",
            "compares the certificate with 127.0.0.1, an IP address",
        ),
        (RELAY.replace(" Verify", "") + ALL, "email_relays[0].tls", "does not verify"),
        (
            RELAY + "domain_filters: [{relay: r}, {relay: r, to: a.example}]",
            "domain_filters[1]",
            "the filter changes nothing: filter 1 takes everything before it",
        ),
        (
            RELAY + ALL + "routes: [{match: a.example, to: lab/good}]",
            "routes",
            "the routes are not used",
        ),
        (
            "salesforce: {invalid_domains: discard}",
            "salesforce.invalid_domains",
            "is dropped and reads as sent",
        ),
        (
            "salesforce: {on_tls_failure: bounce-at-once}",
            "salesforce.on_tls_failure",
            "an inline reply comes after one try",
        ),
        (
            "salesforce: {bounce_management: {rule: pardot, flag_contact_on: hard}}",
            "salesforce.bounce_management.flag_contact_on",
            "under 'rule: pardot' hard bounces flag at once",
        ),
        (
            RELAY + ALL + "salesforce: {bounce_management: {}}",
            "salesforce.bounce_management",
            "mail reaches the relay with reverse paths of bnc.relay.test",
        ),
        (
            "relay: lab/good\nsalesforce: {spf_compliance: true}",
            "salesforce.spf_compliance",
            "a relay that checks SPF may refuse them",
        ),
    ],
)
def test_what_surprises(text: str, path: str, words: str) -> None:
    ((found_at, message),) = warnings(text)
    assert (found_at, words in message) == (path, True), message


@pytest.mark.parametrize(
    "auth",
    [
        "{username: u, password: hunter2 }",
        "{username: u, password: 'hunter2', mechanism: NTLM}",
        '{"username": u, "password" : "hunter2", pasword_env: X}',
        "{username: u, password: [hunter2]}",
        "{username: u, password: {hunter2: hunter2}}",
        "{username: u, password_env: hunter2!}",
    ],
)
def test_no_message_repeats_a_password(tmp_path: Path, auth: str) -> None:
    for setting in ("Required", "Required Verify"):
        text = RELAY.replace("Required Verify", f"{setting}, auth: {auth}") + ALL
        file = tmp_path / "p.yaml"
        file.write_text(text)
        for arguments in (["lint"], ["lint", "--json"], ["explain", "x@a.example", "--policy"]):
            result = CliRunner().invoke(app, [*arguments, str(file)])
            assert result.stdout + result.stderr
            assert "hunter2" not in result.stdout + result.stderr


def test_explain_says_first_that_everything_goes_through_a_relay(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(RELAY.replace("}]", ", auth: {username: u, password: hunter2}}]") + ALL)
    shown = CliRunner().invoke(app, ["explain", "x@a.example", "--policy", str(file)]).stdout
    assert shown.startswith(
        "Everything goes through the email relay r: mx-or-host:smtp.example.com.\n\n"
        "x@a.example from sender@example.test under "
    )
    assert "AUTH                as u, once verified" in shown
    assert "hunter2" not in shown


def test_explain_asks_about_a_sender(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(RELAY + "domain_filters: [{relay: r, from: sales.example}]\n")
    for sender, origin, name in (
        ("a@sales.example", "email-relay", "r"),
        ("a@b.example", "capture", None),
        ("", "capture", None),
    ):
        arguments = ["explain", "x@a.example", "--policy", str(file), "--from", sender, "--json"]
        found = json.loads(CliRunner().invoke(app, arguments).stdout)
        assert (found["route_origin"], found["email_relay"]) == (origin, name)
        assert (found["sender"], found["in_front"]) == (sender, None)
    result = CliRunner().invoke(
        app, ["explain", "x@a.example", "--policy", str(file), "--from", "nonsense"]
    )
    assert result.exit_code == 2
    assert "'nonsense': an address has the form" in result.stderr
