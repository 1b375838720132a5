"""Cards that people can read, scripts that break one thing, and what the settings make of both."""

from __future__ import annotations

import subprocess
import sys

import pytest

from relay.core.faults import FAULT_ORDER, FaultKind
from relay.core.outcomes import DnsProblem
from relay.core.scenarios import Family, Scenario, ScenarioClass
from relay.core.settings import TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate
from relay.lab.catalogue import (
    CAPTURE,
    DNS_SCENARIOS,
    LAB_SCENARIOS,
    RECEIVER_OF_HOST,
    SCENARIOS,
    NoReceiver,
    UnknownScenario,
    find_receiver,
    find_scenario,
)
from relay.lab.dns_answers import DnsScenario
from relay.lab.outlook import foretell
from relay.lab.scripts import LabScenario, Script

ALL = [*SCENARIOS.values(), CAPTURE.card]

SMTP_ONLY = (
    *("greeting-554", "greeting-421", "greeting-silence", "blocked", "rate-limit"),
    *("auth-required", "auth-fails", "user-unknown", "no-such-domain-here", "mailbox-busy"),
    *("mailbox-full", "greylist", "some-recipients", "reply", "size-limit", "too-big"),
    *("data-451", "data-drop", "data-silence", "accept-then-drop", "slow", "multiline-replies"),
    *("malformed-reply", "overlong-reply", "no-pipelining", "no-8bitmime", "no-smtputf8"),
)
"""Scenarios whose TLS is honest, whatever else they do."""

DNS_FOUND = ("no-mx", "mx-preference", "mx-bad-then-good", "mx-good-then-bad", "mx-many")
DNS_NOT_FOUND = {
    "null-mx": DnsProblem.NULL_MX,
    "nxdomain": DnsProblem.NO_HOST,
    "servfail": DnsProblem.LOOKUP_FAILED,
    "dns-timeout": DnsProblem.LOOKUP_FAILED,
    "mx-loop": DnsProblem.LOOPS_BACK,
}

FAULTS = {
    "good": (),
    "tls12": (),
    "tls13": (),
    "ecdsa": (),
    "rsa": (),
    "wildcard": (),
    "implicit-tls": (),
    "wants-client-certificate": (),
    "long-chain": (),
    "ip-address-name": (),
    "thousand-names": (),
    "no-starttls": (FaultKind.STARTTLS_NOT_OFFERED,),
    "starttls-refused": (FaultKind.STARTTLS_REFUSED,),
    "starttls-stripped": (FaultKind.STARTTLS_NOT_OFFERED,),
    "ehlo-refused": (FaultKind.STARTTLS_NOT_OFFERED,),
    "starttls-rejected": (FaultKind.STARTTLS_REFUSED,),
    "starttls-421": (FaultKind.STARTTLS_NO_ANSWER,),
    "starttls-close": (FaultKind.STARTTLS_NO_ANSWER,),
    "starttls-silence": (FaultKind.STARTTLS_NO_ANSWER,),
    "starttls-garbage": (FaultKind.STARTTLS_NO_ANSWER,),
    "starttls-then-close": (FaultKind.HANDSHAKE_CLOSED,),
    "starttls-plaintext": (FaultKind.HANDSHAKE_NOT_TLS,),
    "starttls-injection": (FaultKind.STARTTLS_INJECTION,),
    "starttls-offered-again": (),
    "tls10-only": (FaultKind.HANDSHAKE_PROTOCOL_VERSION,),
    "tls11-only": (FaultKind.HANDSHAKE_PROTOCOL_VERSION,),
    "no-common-cipher": (FaultKind.HANDSHAKE_NO_SHARED_CIPHER,),
    "null-cipher": (FaultKind.HANDSHAKE_NO_SHARED_CIPHER,),
    "rc4-only": (FaultKind.HANDSHAKE_NO_SHARED_CIPHER,),
    "3des-only": (FaultKind.HANDSHAKE_NO_SHARED_CIPHER,),
    "weak-dh": (FaultKind.HANDSHAKE_WEAK_PARAMETERS,),
    "handshake-silence": (FaultKind.HANDSHAKE_TIMEOUT,),
    "handshake-slow": (FaultKind.HANDSHAKE_TIMEOUT,),
    "handshake-drop": (FaultKind.HANDSHAKE_CLOSED,),
    "handshake-reset": (FaultKind.HANDSHAKE_CLOSED,),
    "alert-internal-error": (FaultKind.HANDSHAKE_ALERT,),
    "requires-client-certificate": (FaultKind.HANDSHAKE_ALERT,),
    "sni-required": (),
    "sni-different-certificate": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "ten-thousand-names": (FaultKind.HANDSHAKE_FAILED,),
    "goto-fail": (FaultKind.HANDSHAKE_BAD_SIGNATURE,),
    "expired": (FaultKind.CERTIFICATE_EXPIRED,),
    "not-yet-valid": (FaultKind.CERTIFICATE_NOT_YET_VALID,),
    "self-signed": (FaultKind.CERTIFICATE_SELF_SIGNED,),
    "untrusted-root": (FaultKind.CERTIFICATE_UNTRUSTED_ROOT,),
    "missing-intermediate": (FaultKind.CERTIFICATE_MISSING_INTERMEDIATE,),
    "wrong-host": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "expired-intermediate": (FaultKind.CERTIFICATE_EXPIRED,),
    "untrusted-root-sent": (FaultKind.CERTIFICATE_UNTRUSTED_ROOT,),
    "wildcard-too-deep": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "wildcard-too-wide": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "common-name-only": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "no-names": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "domain-not-host": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "ip-address-host": (FaultKind.CERTIFICATE_NAME_MISMATCH,),
    "rsa-1024": (FaultKind.CERTIFICATE_WEAK_KEY,),
    "sha1-signature": (FaultKind.CERTIFICATE_WEAK_SIGNATURE,),
    "wrong-purpose": (FaultKind.CERTIFICATE_WRONG_PURPOSE,),
    "not-a-ca-issuer": (FaultKind.CERTIFICATE_ISSUER_INVALID,),
    "name-constraint": (FaultKind.CERTIFICATE_NAME_CONSTRAINT,),
    "path-length": (FaultKind.CERTIFICATE_ISSUER_INVALID,),
    "unknown-critical-extension": (FaultKind.CERTIFICATE_UNKNOWN_EXTENSION,),
    "expired-and-wrong-host": (
        FaultKind.CERTIFICATE_EXPIRED,
        FaultKind.CERTIFICATE_NAME_MISMATCH,
    ),
    "expires-soon": (),
    "rotates": (),
    "wrong-order-chain": (),
    "revoked": (),
    "must-staple": (),
    "ca-as-leaf": (),
    **dict.fromkeys((*SMTP_ONLY, *DNS_FOUND, *DNS_NOT_FOUND), ()),
    "mx-bad-then-good": (FaultKind.STARTTLS_NOT_OFFERED,),
}

V, E, C, R, X = "verified", "encrypted", "clear", "clear, second session", "nothing sent"

# Typed by hand: off, preferred, preferred-verify, required, required-verify.
OUTLOOK = {
    "good": (C, E, V, E, V),
    "tls12": (C, E, V, E, V),
    "tls13": (C, E, V, E, V),
    "ecdsa": (C, E, V, E, V),
    "rsa": (C, E, V, E, V),
    "wildcard": (C, E, V, E, V),
    "implicit-tls": (E, E, V, E, V),
    "wants-client-certificate": (C, E, V, E, V),
    "long-chain": (C, E, V, E, V),
    "ip-address-name": (C, E, V, E, V),
    "thousand-names": (C, E, V, E, V),
    "no-starttls": (C, C, C, X, X),
    "starttls-refused": (C, C, C, X, X),
    "starttls-stripped": (C, C, C, X, X),
    "ehlo-refused": (C, C, C, X, X),
    "starttls-rejected": (C, C, C, X, X),
    "starttls-421": (C, R, R, X, X),
    "starttls-close": (C, R, R, X, X),
    "starttls-silence": (C, R, R, X, X),
    "starttls-garbage": (C, R, R, X, X),
    "starttls-then-close": (C, R, R, X, X),
    "starttls-plaintext": (C, R, R, X, X),
    "starttls-injection": (C, E, X, E, X),
    "starttls-offered-again": (C, E, V, E, V),
    "tls10-only": (C, R, R, X, X),
    "tls11-only": (C, R, R, X, X),
    "no-common-cipher": (C, R, R, X, X),
    "null-cipher": (C, R, R, X, X),
    "rc4-only": (C, R, R, X, X),
    "3des-only": (C, R, R, X, X),
    "weak-dh": (C, R, R, X, X),
    "handshake-silence": (C, R, R, X, X),
    "handshake-slow": (C, R, R, X, X),
    "handshake-drop": (C, R, R, X, X),
    "handshake-reset": (C, R, R, X, X),
    "alert-internal-error": (C, R, R, X, X),
    "requires-client-certificate": (C, R, R, X, X),
    "sni-required": (C, E, V, E, V),
    "sni-different-certificate": (C, E, X, E, X),
    "ten-thousand-names": (C, R, R, X, X),
    "goto-fail": (C, R, R, X, X),
    "expired": (C, E, X, E, X),
    "not-yet-valid": (C, E, X, E, X),
    "self-signed": (C, E, X, E, X),
    "untrusted-root": (C, E, X, E, X),
    "missing-intermediate": (C, E, X, E, X),
    "wrong-host": (C, E, X, E, X),
    "expired-intermediate": (C, E, X, E, X),
    "untrusted-root-sent": (C, E, X, E, X),
    "wildcard-too-deep": (C, E, X, E, X),
    "wildcard-too-wide": (C, E, X, E, X),
    "common-name-only": (C, E, X, E, X),
    "no-names": (C, E, X, E, X),
    "domain-not-host": (C, E, X, E, X),
    "ip-address-host": (C, E, X, E, X),
    "rsa-1024": (C, E, X, E, X),
    "sha1-signature": (C, E, X, E, X),
    "wrong-purpose": (C, E, X, E, X),
    "not-a-ca-issuer": (C, E, X, E, X),
    "name-constraint": (C, E, X, E, X),
    "path-length": (C, E, X, E, X),
    "unknown-critical-extension": (C, E, X, E, X),
    "expired-and-wrong-host": (C, E, X, E, X),
    "expires-soon": (C, E, V, E, V),
    "rotates": (C, E, V, E, V),
    "wrong-order-chain": (C, E, V, E, V),
    "revoked": (C, E, V, E, V),
    "must-staple": (C, E, V, E, V),
    "ca-as-leaf": (C, E, V, E, V),
    **dict.fromkeys((*SMTP_ONLY, *DNS_FOUND), (C, E, V, E, V)),
    **{name: (problem,) * 5 for name, problem in DNS_NOT_FOUND.items()},
}


def test_the_list_is_the_one_that_is_promised() -> None:
    assert {name: card.faults for name, card in SCENARIOS.items()} == FAULTS


@pytest.mark.parametrize("card", ALL, ids=lambda card: card.name)
def test_a_card_is_complete(card: Scenario) -> None:
    assert card.host == (card.host_name or f"mx.{card.mail_domain}")
    for text in (card.summary, card.in_the_wild, card.remedy):
        assert text[0].isupper()
        assert text.endswith(".")
        assert "  " not in text
    assert card.summary.count(". ") == 0
    assert len(card.summary) <= 100
    order = [FAULT_ORDER[kind] for kind in card.faults]
    assert order == sorted(order)
    assert (card.stage is None) is (card.scenario_class is ScenarioClass.HONEST)


@pytest.mark.parametrize("entry", LAB_SCENARIOS.values(), ids=lambda entry: entry.card.name)
def test_a_scenario_breaks_in_one_place(entry: LabScenario) -> None:
    card, script = entry.card, entry.script
    match card.family:
        case Family.HONEST:
            assert script == Script() or card.recipe == "good"
        case Family.CERTIFICATE | Family.DNS:
            assert script == Script()
        case _:
            assert (script == Script()) is (card.name == "ten-thousand-names")
    if card.family in {Family.STARTTLS, Family.SMTP}:
        assert card.recipe in {None, "good"}


@pytest.mark.parametrize("name", OUTLOOK)
def test_what_each_setting_makes_of_a_scenario(name: str) -> None:
    words: list[object] = []
    for setting in TlsSetting:
        match foretell(SCENARIOS[name], setting):
            case DnsProblem() as problem:
                words.append(problem)
            case Deliver(protection=protection):
                words.append(protection.value)
            case RetryInClear():
                words.append(R)
            case Terminate():
                words.append(X)
    assert tuple(words) == OUTLOOK[name]


def test_the_outlook_names_every_scenario() -> None:
    assert set(OUTLOOK) == set(SCENARIOS)


def test_scenarios_about_dns_are_those_of_their_family() -> None:
    family = [name for name, card in SCENARIOS.items() if card.family is Family.DNS]
    assert list(DNS_SCENARIOS) == family
    assert {n: s.problem for n, s in DNS_SCENARIOS.items() if s.problem} == DNS_NOT_FOUND
    assert [name for name in DNS_SCENARIOS if name in LAB_SCENARIOS] == ["no-mx", "mx-many"]


@pytest.mark.parametrize("entry", DNS_SCENARIOS.values(), ids=lambda entry: entry.card.name)
def test_every_host_in_a_record_is_a_receiver(entry: DnsScenario) -> None:
    for host in entry.hosts:
        receiver = LAB_SCENARIOS[RECEIVER_OF_HOST[host]]
        assert (receiver.card.name == entry.card.name) is (host in entry.own_hosts)
        assert host in entry.own_hosts or receiver.card.host == host
    assert (entry.card.recipe is None) is (not entry.own_hosts)


def test_a_scenario_without_a_receiver_is_not_an_unknown_one() -> None:
    assert find_scenario("null-mx") is DNS_SCENARIOS["null-mx"]
    assert find_receiver("no-mx") is LAB_SCENARIOS["no-mx"]
    with pytest.raises(NoReceiver, match="null-mx is about DNS alone"):
        find_receiver("null-mx")
    for find in (find_scenario, find_receiver):
        with pytest.raises(UnknownScenario, match="did you mean null-mx"):
            find("nul-mx")


def test_reading_the_catalogue_loads_nothing_heavy() -> None:
    script = (
        "import sys, relay.lab.catalogue, relay.lab.outlook\n"
        "print([name for name in ('ssl', 'asyncio', 'trustme', 'cryptography', 'pydantic', "
        "'yaml') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
