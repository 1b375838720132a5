"""Check against the lab: each card's faults by name, each setting's verdict, and nothing mailed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from check_lab import checked_lab

from relay.audit.check import Check, Reached
from relay.audit.check_host import Agreement
from relay.audit.expectations import EXPECTATIONS
from relay.core.advisories import AdvisoryKind
from relay.core.evidence import HandshakeDone
from relay.core.scenarios import Family
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import DNS_SCENARIOS, LAB_SCENARIOS, RECEIVER_OF_HOST, SCENARIOS
from relay.lab.received import ReceivedSession

ABOUT_TLS = [
    name
    for name, scenario in LAB_SCENARIOS.items()
    if scenario.card.family not in {Family.SMTP, Family.DNS} and not why_unavailable(scenario)
]
GREETINGS = ["greeting-554", "greeting-421", "greeting-silence"]
"""What these do to mail, they do before it comes to mail."""
PLAINTEXT = AdvisoryKind.PLAINTEXT_BEHIND_GO_AHEAD
SHARED = {RECEIVER_OF_HOST[host] for each in DNS_SCENARIOS.values() for host in each.hosts}
"""Receivers that a domain's MX records lead to as well."""
BY_DNS = list(DNS_SCENARIOS)


class Result(NamedTuple):
    checks: Mapping[str, Check]
    received: Mapping[str, tuple[ReceivedSession, ...]]


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> Result:
    async def gather(certificates: Path) -> Result:
        async with checked_lab(certificates) as lab:
            checks = await lab.check(*ABOUT_TLS, *GREETINGS, *BY_DNS)
            return Result(checks=checks, received=await lab.received())

    return asyncio.run(gather(tmp_path_factory.mktemp("certs")))


@pytest.mark.parametrize("name", ABOUT_TLS)
def test_a_check_names_the_faults_and_advisories_of_the_card(name: str, result: Result) -> None:
    (host,) = result.checks[name].hosts
    card = SCENARIOS[name]
    assert tuple(fault.kind for fault in host.faults) == card.faults
    # Clear text behind the go-ahead is a fault to those that verify, and an advisory to others.
    noted = tuple(kind for kind in card.advisories if kind is not PLAINTEXT)
    assert tuple(advisory.kind for advisory in host.advisories) == noted


@pytest.mark.parametrize("name", [*ABOUT_TLS, *GREETINGS, *BY_DNS])
def test_a_check_foretells_what_the_table_says(name: str, result: Result) -> None:
    got = {verdict.setting: verdict.word for verdict in result.checks[name].verdicts}
    assert got == {setting: str(wanted) for setting, wanted in EXPECTATIONS[name].items()}


@pytest.mark.parametrize("name", [name for name in ABOUT_TLS if name != "rotates"])
def test_openssl_says_the_same_of_the_certificate(name: str, result: Result) -> None:
    (host,) = result.checks[name].hosts
    evidence = host.record.evidence
    stood = evidence is not None and isinstance(evidence.handshake, HandshakeDone)
    wanted = Agreement.AGREES if stood else Agreement.NOT_ASKED
    assert host.confirmation.agreement is wanted, host.confirmation


def test_another_certificate_in_the_second_session_is_told(result: Result) -> None:
    (host,) = result.checks["rotates"].hosts
    assert host.confirmation.agreement is Agreement.OTHER_CERTIFICATE


@pytest.mark.parametrize("name", ABOUT_TLS)
def test_a_scenario_is_most_like_itself(name: str, result: Result) -> None:
    (host,) = result.checks[name].hosts
    assert name in host.nearest


def test_an_untrustworthy_chain_is_not_like_a_good_one(result: Result) -> None:
    (host,) = result.checks["expired-and-wrong-host"].hosts
    assert host.nearest == ("expired-and-wrong-host",)


def test_no_receiver_saw_a_mail_command(result: Result) -> None:
    sessions = [session for each in result.received.values() for session in each]
    assert len(sessions) > len(ABOUT_TLS)
    for session in sessions:
        assert set(session.commands) <= {"EHLO", "HELO", "STARTTLS", "QUIT"}, session.receiver
        assert not session.data_octets
        assert not session.auth_seen


@pytest.mark.parametrize("name", [name for name in ABOUT_TLS if name not in SHARED])
def test_a_host_is_asked_twice_at_most(name: str, result: Result) -> None:
    assert 1 <= len(result.received[name]) <= 2


@pytest.mark.parametrize(
    ("name", "reached"),
    [
        ("null-mx", Reached.DNS),
        ("mx-loop", Reached.DNS),
        ("nxdomain", Reached.NOBODY),
        ("servfail", Reached.NOBODY),
        ("mx-many", Reached.HOST),
        ("greeting-554", Reached.HOST),
    ],
)
def test_how_far_a_check_came(name: str, reached: Reached, result: Result) -> None:
    assert result.checks[name].reached is reached


def test_every_exchanger_is_checked_in_its_order(result: Result) -> None:
    hosts = result.checks["mx-bad-then-good"].hosts
    assert [host.hop.host for host in hosts] == ["mx.no-starttls.lab.test", "mx.good.lab.test"]
    assert [host.preference for host in hosts] == sorted(host.preference for host in hosts)
    alone = [[verdict.word for verdict in host.verdicts] for host in hosts]
    assert [words[-1] for words in alone] == ["451 4.7.6", "verified"]


def test_stages_are_those_of_the_session(result: Result) -> None:
    def stages(name: str) -> list[tuple[str, bool]]:
        (host,) = result.checks[name].hosts
        assert all(stage.seconds >= 0 for stage in host.stages)
        return [(stage.stage.value, stage.done) for stage in host.stages]

    begun = [("connect", True), ("greeting", True), ("EHLO", True)]
    under_tls = [("STARTTLS", True), ("handshake", True), ("EHLO under TLS", True)]
    assert stages("good") == begun + under_tls
    assert stages("starttls-injection") == begun + under_tls
    assert stages("no-starttls") == begun
    assert stages("starttls-refused") == [*begun, ("STARTTLS", False)]
    assert stages("handshake-silence") == [*begun, ("STARTTLS", True), ("handshake", False)]
    assert stages("greeting-554") == [("connect", True), ("greeting", False)]
    assert stages("implicit-tls") == [
        ("connect", True),
        ("handshake and greeting", True),
        ("EHLO under TLS", True),
    ]
