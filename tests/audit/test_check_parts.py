"""What a check is asked with, and what it says where nothing could be found out."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from check_lab import checked_lab, now, options, terms

from relay.audit.check import Checker, Reached, check_all, why_not_reached
from relay.audit.check_host import Agreement, HostChecker
from relay.audit.check_target import Target, parse_target
from relay.audit.check_verdicts import Expectation
from relay.audit.check_words import agreement_words
from relay.core.addresses import Domain
from relay.core.codebook_data import POSTFIX
from relay.core.destinations import Destination, ToHost, ToMxOrHost, ToScenario
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    DnsFailure,
    DnsProblem,
    Failure,
    Stage,
)
from relay.core.routing import Hop, HostAddress
from relay.core.settings import Protection, TlsMode, TlsSetting
from relay.core.tls_policy import NamePolicy
from relay.core.verdicts import Deliver
from relay.lab.catalogue import UnknownScenario
from relay.tls.rejudge import Rejudged
from relay.tls.trust import TrustStores

IMPLICIT = TlsMode.IMPLICIT


@pytest.mark.parametrize(
    ("text", "implicit", "to", "domain"),
    [
        ("bank.example", False, ToMxOrHost(domain=Domain("bank.example")), "bank.example"),
        ("Bank.Example.", False, ToMxOrHost(domain=Domain("bank.example")), "bank.example"),
        ("mx.bank.example:25", False, ToHost(host="mx.bank.example", port=25), "mx.bank.example"),
        ("mx.bank.example:465", False,
         ToHost(host="mx.bank.example", port=465, mode=IMPLICIT), "mx.bank.example"),
        ("mx.bank.example", True,
         ToHost(host="mx.bank.example", port=465, mode=IMPLICIT), "mx.bank.example"),
        ("mx.bank.example:2465", True,
         ToHost(host="mx.bank.example", port=2465, mode=IMPLICIT), "mx.bank.example"),
        ("127.0.0.1:2525", False, ToHost(host="127.0.0.1", port=2525), "[127.0.0.1]"),
        ("127.0.0.1", False, ToHost(host="127.0.0.1", port=25), "[127.0.0.1]"),
        ("::1", False, ToHost(host="::1", port=25), "[IPv6:::1]"),
        ("[::1]:2525", False, ToHost(host="::1", port=2525), "[IPv6:::1]"),
        ("[IPv6:::1]", False, ToHost(host="::1", port=25), "[IPv6:::1]"),
        ("lab/expired", False, ToScenario(scenario="expired"), "expired.lab.test"),
        ("Expired.LAB.test", False, ToScenario(scenario="expired"), "expired.lab.test"),
        ("mx.expired.lab.test", False, ToScenario(scenario="expired"), "expired.lab.test"),
    ],
)  # fmt: skip
def test_target(text: str, implicit: bool, to: Destination, domain: str) -> None:
    target = parse_target(text, implicit=implicit)
    assert (target.to, target.domain, target.text) == (to, domain, text)
    assert target.in_lab is isinstance(to, ToScenario)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("bank.example:smtp", "'smtp' is not a port"),
        ("bank.example:0", "'0' is not a port"),
        ("bank.example:65536", "'65536' is not a port"),
        ("[::1", "not of the form"),
        ("[::1]25", "not of the form"),
        ("[bank.example]:25", "'bank.example' is not an address"),
        ("jane@bank.example", "not a valid label"),
    ],
)
def test_no_target(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says.replace("[", r"\[")):
        parse_target(text)


def test_a_scenario_that_the_lab_does_not_have_is_no_target() -> None:
    with pytest.raises(UnknownScenario, match="did you mean expired"):
        parse_target("lab/expird")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("required-verify", "form SETTING="),
        ("required-verify=", "form SETTING="),
        ("required-verify=maybe", "neither a code"),
        ("Very Strict=deliver", "is not a TLS setting"),
    ],
)
def test_no_expectation(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Expectation.parse(text)


@pytest.mark.parametrize(
    ("text", "met"),
    [
        ("Required Verify=4.7.5", True),
        ("RequiredVerify=451 4.7.5", True),
        ("required-verify=451", True),
        ("required-verify=4.7.6", False),
        ("required-verify=deliver", False),
        ("required=deliver", True),
        ("required=encrypted", True),
        ("required=verified", False),
        ("required=4.7.5", False),
        ("off=clear", True),
    ],
)
async def test_an_expectation_is_held_against_the_verdict(
    text: str, met: bool, tmp_path: Path
) -> None:
    async with checked_lab(tmp_path) as lab:
        wanted = Expectation.parse(text)
        check = (await lab.check("expired", expectations=[wanted]))["expired"]
        (result,) = check.expected
        assert (result.expectation, result.met) == (wanted, met)
        assert check.failed is not met


async def test_the_code_is_that_of_the_book(tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        check = (await lab.check("expired", judged_by=terms(book=POSTFIX)))["expired"]
        words = {verdict.setting: (verdict.word, verdict.text) for verdict in check.verdicts}
        code, text = words[TlsSetting.REQUIRED_VERIFY]
        assert (code, text) == ("451 4.7.5", "Server certificate not verified")
        assert check.book == "postfix"


async def test_the_domain_may_stand_in_the_certificate_where_that_is_allowed(
    tmp_path: Path,
) -> None:
    async with checked_lab(tmp_path) as lab:
        names = NamePolicy(recipient_domain=True)
        for judged_by, word in ((terms(), "451 4.7.5"), (terms(names=names), "verified")):
            check = (await lab.check("domain-not-host", judged_by=judged_by))["domain-not-host"]
            assert check.verdicts[-1].word == word
            assert check.hosts[0].confirmation.agreement.value == "agrees"


async def test_without_trust_in_the_lab_its_certificates_are_good_for_nothing(
    tmp_path: Path,
) -> None:
    async with checked_lab(tmp_path) as lab:
        check = (await lab.check("good", judged_by=terms(lab=False)))["good"]
        (host,) = check.hosts
        assert [fault.kind.value for fault in host.faults] == ["certificate-untrusted-root"]
        assert host.confirmation.agreement.value == "agrees"
        assert host.chain is not None
        assert host.chain.missing is not None
        assert "lab root" in host.chain.missing


async def test_a_connection_that_never_comes_about_is_not_the_hosts_verdict(
    tmp_path: Path,
) -> None:
    async with checked_lab(tmp_path) as lab:
        with socket.socket() as full, socket.socket() as waiting:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            waiting.connect(full.getsockname())
            port = full.getsockname()[1]
            (check,) = await lab.check_targets(
                [parse_target(f"127.0.0.1:{port}")],
                judged_by=terms(),
                expectations=[Expectation.parse("required=deliver")],
                session_options=options(timedelta(milliseconds=300)),
            )
        assert check.reached is Reached.NOBODY
        assert not check.determined
        assert {verdict.word for verdict in check.verdicts} == {"unknown"}
        assert [each.met for each in check.expected] == [None]
        assert not check.failed
        # Nor does the record hold it against the host, wherever a forecast is made from it.
        assert check.record.seen == ()
        failure = check.hosts[0].record.failure
        assert failure is not None
        assert "that is not the server's verdict" in why_not_reached(failure, check.hosts[0].hop)


@pytest.mark.parametrize(
    ("problem", "port", "says"),
    [
        (ConnectionProblem.TIMEOUT, 25, "that is not the server's verdict"),
        (ConnectionProblem.UNREACHABLE, 25, "This network may block port 25"),
        (ConnectionProblem.TIMEOUT, 587, "A firewall may be in the way"),
        (ConnectionProblem.REFUSED, 25, "nothing accepts connections there"),
    ],
)  # fmt: skip
def test_why_nothing_is_known(problem: ConnectionProblem, port: int, says: str) -> None:
    failure = ConnectionFailure(problem=problem, stage=Stage.NOT_CONNECTED, detail="no reason")
    hop = Hop(host="mx.bank.example", address="192.0.2.1", port=port)
    assert says in why_not_reached(failure, hop)


async def test_hosts_off_this_machine_are_not_connected_to(tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        (check,) = await lab.check_targets([parse_target("192.0.2.1")], judged_by=terms())
        assert check.reached is Reached.NOBODY
        (host,) = check.hosts
        assert host.transcript == ()
        assert host.record.failure is not None
        assert "--allow-external" in why_not_reached(host.record.failure, host.hop)


@dataclass(frozen=True)
class Fixed:
    """A resolver that has one answer."""

    hosts: tuple[HostAddress, ...]

    async def resolve(self, to: Destination) -> tuple[HostAddress, ...]:
        return self.hosts


async def test_a_host_that_is_not_reached_is_passed_over_as_a_relay_would(tmp_path: Path) -> None:
    async with checked_lab(tmp_path) as lab:
        good = await lab.lab.address("good")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            first = replace(good, name="mx.closed.example", port=taken.getsockname()[1])
            found = Fixed((replace(good, preference=20), replace(first, preference=10)))
            (check,) = await replace(lab, resolver=found).check_targets(
                [parse_target("bank.example")], judged_by=terms()
            )
        assert [(host.hop.host, host.reached) for host in check.hosts] == [
            ("mx.closed.example", False),
            ("mx.good.lab.test", True),
        ]
        assert [verdict.word for verdict in check.hosts[0].verdicts] == ["unknown"] * 5
        assert check.verdicts[-1].word == "verified"
        assert check.determined
        assert len(check.record.seen) == 2


@dataclass
class Counting:
    """A resolver that finds nothing, and counts how many ask it at the same time."""

    asking: int = 0
    most: int = 0

    async def resolve(self, to: Destination) -> Failure:
        self.asking += 1
        self.most = max(self.most, self.asking)
        for _ in range(10):
            await asyncio.sleep(0)
        self.asking -= 1
        return DnsFailure(problem=DnsProblem.NO_HOST, name=str(to))


async def test_a_long_list_is_not_looked_up_all_at_once() -> None:
    resolver = Counting()

    def nobody(_: Target) -> HostChecker:
        return HostChecker(terms=terms(), options=options(), stores=TrustStores(), now=now)

    checker = Checker(resolver=resolver, checker_for=nobody, expectations=(), now=now)
    targets = [parse_target(f"d{number}.example") for number in range(40)]
    checks = await check_all(checker, targets, at_once=3)
    assert [check.target for check in checks] == [target.text for target in targets]
    assert resolver.most == 3


@pytest.mark.parametrize(("name", "word"), [("mx.good.lab.test", "verified"), (None, "451 4.7.5")])
async def test_a_forwarded_port_is_verified_by_the_name_that_was_given(
    name: str | None, word: str, tmp_path: Path
) -> None:
    async with checked_lab(tmp_path) as lab:
        good = await lab.lab.address("good")
        target = parse_target(f"{good.address}:{good.port}", name=name)
        (check,) = await lab.check_targets([target], judged_by=terms())
        assert check.verdicts[-1].word == word
        assert check.hosts[0].confirmation.agreement is Agreement.AGREES
        assert check.domain == (name or "[127.0.0.1]")


@pytest.mark.parametrize("text", ["bank.example", "lab/good"])
def test_what_has_names_gets_none(text: str) -> None:
    with pytest.raises(ValueError, match="give HOST:PORT"):
        parse_target(text, name="mx.bank.example")


async def test_a_disagreement_with_openssl_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(*args: object, **kwargs: object) -> Rejudged:
        return Rejudged(verdict=Deliver(protection=Protection.VERIFIED), faults=())

    monkeypatch.setattr("relay.audit.check_host.rejudge", blind)
    async with checked_lab(tmp_path) as lab:
        (host,) = (await lab.check("expired"))["expired"].hosts
        assert host.confirmation.agreement is Agreement.DIFFERS
        told = agreement_words(host)
        assert told is not None
        assert told.startswith("DIFFERS from our examination: certificate has expired")
