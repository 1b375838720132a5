"""Ways and plans that are remembered: the same as those worked out anew."""

from __future__ import annotations

from datetime import timedelta

import pytest

from relay.config.policy_file import load_policy_text
from relay.core.addresses import Domain
from relay.core.outcomes import DnsFailure, DnsProblem
from relay.core.records import MatchedRule
from relay.core.routing import ONE_TRY, HostAddress, RetrySchedule
from relay.core.settings import TlsMode, TlsSetting
from relay.engine import ways
from relay.engine.ways import Ways

POLICY = load_policy_text(
    """
tls: Preferred
rules:
  - match: "*.bank.test"
    tls: Required Verify
routes:
  - match: b.bank.test
    to: "smtp://mx.bank.test:2525"
""",
    name="p.yaml",
)
DOMAINS = [Domain("bank.test"), Domain("a.bank.test"), Domain("b.bank.test")]
ONE = HostAddress(name="mx.bank.test", address="127.0.0.1", port=2525, mode=TlsMode.STARTTLS)
OTHER = HostAddress(name="mx.bank.test", address="127.0.0.2", port=2525, mode=TlsMode.STARTTLS)
NOBODY = frozenset[HostAddress]()


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_way_is_the_policys_own_and_is_worked_out_once(domain: Domain) -> None:
    known = Ways(POLICY)
    first = known.way(domain, sender=None, floor=None)
    assert first.way == POLICY.way(domain, sender=None)
    assert first.rule == MatchedRule.of(first.way.tls)
    assert known.way(domain, sender=None, floor=None) is first


def test_a_floor_raises_the_way_for_what_is_protected_alone() -> None:
    known = Ways(POLICY)
    for _ in range(2):
        plain = known.way(DOMAINS[0], sender=None, floor=None).way.tls.policy.setting
        raised = known.way(DOMAINS[0], sender=None, floor=TlsSetting.REQUIRED)
        assert plain is TlsSetting.PREFERRED
        assert raised.way.tls.policy.setting is TlsSetting.REQUIRED


def test_a_plan_stands_until_something_about_it_changes() -> None:
    way = Ways(POLICY).way(DOMAINS[2], sender=None, floor=None)
    first = way.plan((ONE,), ONE_TRY, ours=NOBODY)
    assert way.plan((ONE,), ONE_TRY, ours=NOBODY) is first
    lost = DnsFailure(problem=DnsProblem.LOOKUP_FAILED, name="mx.bank.test")
    longer = RetrySchedule(delays=(timedelta(hours=1),))
    for answers, schedule, ours in (
        ((OTHER,), ONE_TRY, NOBODY),
        ((ONE, OTHER), ONE_TRY, NOBODY),
        ((ONE,), longer, NOBODY),
        ((ONE,), ONE_TRY, frozenset({ONE})),
        (lost, ONE_TRY, NOBODY),
        ((ONE,), ONE_TRY, NOBODY),
    ):
        made = way.plan(answers, schedule, ours=ours)
        assert made == POLICY.plan(way.way, answers, schedule, ours=ours)


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ways, "MOST_REMEMBERED", 3)
    known = Ways(POLICY)
    for number in range(10):
        domain = Domain(f"d{number}.test")
        assert known.way(domain, sender=None, floor=None).way.tls.domain == domain
    assert len(known._known) <= 3
