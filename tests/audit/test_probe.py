"""Probes over the lab: what they learn, what they never say, and forecasts made of them."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from relay.audit.evidence_file import load_evidence, save_evidence
from relay.audit.expectations import EXPECTATIONS
from relay.audit.forecast import Passes, Refused, Unknown, forecast
from relay.audit.on_record import DomainRecord, Records
from relay.audit.probe import Probed, Prober, probe_hop
from relay.config.policy_file import load_policy_text
from relay.core.addresses import parse_domain
from relay.core.destinations import Destination, ToHost, ToMailDomain, ToScenario
from relay.core.outcomes import ConnectionFailure, LocalProblem, LocalRefusal
from relay.core.rejudging import Unseen
from relay.core.routing import Hop
from relay.core.settings import TlsSetting, TlsVersion
from relay.lab.authority import LabAuthority
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import LAB_SCENARIOS
from relay.lab.lab import Lab
from relay.lookup.mx import MxResolver
from relay.lookup.resolver import ChainedResolver, SystemResolver
from relay.outbound.session import SessionOptions
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores

OPTIONS = SessionOptions(
    local_hostname="probe.test",
    connect_timeout=timedelta(seconds=5),
    command_timeout=timedelta(seconds=5),
    allow_external=False,
)
BY_TURNS = {"greylist", "rotates", "rate-limit"}
"""What these show depends on what came before."""


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Bench:
    lab: Lab
    prober: Prober
    stores: TrustStores

    async def probe(self, name: str, to: Destination | None = None) -> DomainRecord:
        domain = parse_domain(f"{name}.lab.test")
        to = to or ToScenario(scenario=name)
        return await self.prober.domain(Probed(domain=domain, to=to, route=str(to)))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    authority = LabAuthority(tmp_path / "certs")
    chance = random.Random(1)
    async with contextlib.AsyncExitStack() as stack:
        lab = await stack.enter_async_context(Lab(authority, now=now))
        resolver = ChainedResolver(
            lab=lab,
            system=SystemResolver(),
            mx=MxResolver(
                dns=lambda: load_policy_text("tls: Off\n", name="p").routing.dns,
                own_name="probe.test",
                chance=chance,
            ),
            chance=chance,
        )
        prober = Prober(
            resolver=resolver,
            minimum_tls=TlsVersion.TLS1_2,
            options=OPTIONS,
            contexts=ClientContexts(TrustStores()),
            now=now,
        )
        stores = TrustStores(
            lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
        )
        yield Bench(lab=lab, prober=prober, stores=stores)


@pytest.mark.timeout(120)
async def test_forecasts_of_probes_agree_with_the_expectations(bench: Bench) -> None:
    """Every scenario under every setting, against the tables that people typed."""
    names = [
        name
        for name, scenario in LAB_SCENARIOS.items()
        if name in EXPECTATIONS and name not in BY_TURNS and not why_unavailable(scenario)
    ]
    asked = [
        Probed(
            domain=parse_domain(f"{name}.lab.test"),
            to=ToScenario(scenario=name),
            route=f"lab/{name}",
        )
        for name in names
    ]
    told: list[DomainRecord] = []
    records = await bench.prober.domains(asked, progress=told.append)
    assert {record.domain for record in told} == {each.domain for each in asked}
    assert [record.domain for record in records] == [each.domain for each in asked]
    known = Records(records)
    wrong: list[str] = []
    kinds: Counter[str] = Counter()
    for setting in TlsSetting:
        policy = load_policy_text(f"tls: {setting.label}\n", name=setting.label)
        for name in names:
            domain, expected = parse_domain(f"{name}.lab.test"), EXPECTATIONS[name][setting]
            result = forecast(known, policy, domain=domain, recipient=None, stores=bench.stores)
            kinds[result.kind] += 1
            match result:
                case Refused(entry=entry) if str(entry.status) != str(expected):
                    wrong.append(f"{name}, {setting.value}: {entry.status}, not {expected}")
                case Passes(protection=protection) if expected.delivered:
                    if protection.value != str(expected):
                        wrong.append(f"{name}, {setting.value}: {protection}, not {expected}")
                case Unknown(what=what) if what is not Unseen.CLEAR_SESSION:
                    wrong.append(f"{name}, {setting.value}: unknown, {what}")
    assert wrong == []
    assert kinds["unknown"] <= len(TlsSetting)
    assert all(kinds[kind] > 50 for kind in ("passes", "refused"))


@pytest.mark.parametrize(
    "name", ["good", "expired", "no-starttls", "handshake-drop", "user-unknown"]
)
async def test_a_probe_never_says_mail(bench: Bench, name: str) -> None:
    await bench.probe(name)
    await bench.lab.wait_until_idle(name)
    received = bench.lab.received(name)
    assert len(received) == 1
    verbs = {line.text.partition(" ")[0].upper() for line in received[0].transcript}
    assert not verbs & {"MAIL", "RCPT", "DATA", "AUTH"}
    assert bench.lab.messages(name) == ()


async def test_a_probe_sees_a_chain_that_verification_would_have_ended_at(bench: Bench) -> None:
    (host,) = (await bench.probe("self-signed")).seen
    assert host.evidence is not None
    assert host.evidence.offer is not None
    assert not host.evidence.offer.verifying
    assert len(host.evidence.chain) == 1
    assert host.failure is None


async def test_what_can_not_be_connected_to_is_a_failure(
    bench: Bench, unused_tcp_port_factory: Callable[[], int]
) -> None:
    closed = ToHost(host="127.0.0.1", port=unused_tcp_port_factory())
    (host,) = (await bench.probe("closed", closed)).seen
    assert isinstance(host.failure, ConnectionFailure)
    assert host.evidence is None


async def test_a_host_off_this_machine_is_not_probed(bench: Bench) -> None:
    hop = Hop(host="mx.example.com", address="192.0.2.1", port=25)
    host = await probe_hop(
        hop,
        minimum_tls=TlsVersion.TLS1_2,
        options=OPTIONS,
        contexts=ClientContexts(TrustStores()),
        now=now,
    )
    assert isinstance(host.failure, LocalRefusal)
    assert host.failure.problem is LocalProblem.HOST_NOT_ALLOWED


async def test_no_host_is_a_problem_of_the_domain(bench: Bench) -> None:
    record = await bench.probe("nowhere", ToScenario(scenario="no-such-scenario"))
    assert record.hosts == ()
    assert record.problem is not None


async def test_a_lower_floor_sees_what_a_higher_one_could_not(bench: Bench) -> None:
    higher = replace(bench, prober=replace(bench.prober, minimum_tls=TlsVersion.TLS1_3))
    domain = parse_domain("tls12.lab.test")
    policy = load_policy_text("tls: Required\n", name="p")
    told = [
        forecast(
            Records([await each.probe("tls12")]),
            policy,
            domain=domain,
            recipient=None,
            stores=bench.stores,
        )
        for each in (higher, bench)
    ]
    assert isinstance(told[0], Unknown)
    assert told[0].what is Unseen.TLS_VERSION
    assert isinstance(told[1], Passes)


def test_a_domain_without_a_route_is_probed_at_its_own_exchangers() -> None:
    policy = load_policy_text("routes: [{match: a.test, to: capture}]\n", name="p")
    routed, unrouted = parse_domain("a.test"), parse_domain("b.test")
    by_route = Probed.by(routed, policy.way(routed, sender=None).route)
    by_mx = Probed.by(unrouted, policy.way(unrouted, sender=None).route)
    assert by_route.route == "capture"
    assert (by_mx.to, by_mx.route) == (ToMailDomain(domain=unrouted), None)


async def test_evidence_comes_back_from_a_file_as_it_went(bench: Bench, tmp_path: Path) -> None:
    records = tuple([await bench.probe(name) for name in ("expired", "no-starttls", "good")])
    file = tmp_path / "evidence.json"
    save_evidence(file, records)
    assert load_evidence(file) == records
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["evidence.json"]
