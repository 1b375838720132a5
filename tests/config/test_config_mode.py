"""The mode of a policy and of a rule: read, warned of, explained."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay.config.explain import explain_address
from relay.config.lint import lint
from relay.config.policy_file import load_policy_text, parse_policy
from relay.config.problems import PolicyFileError
from relay.core.settings import TlsSetting


def test_a_rule_may_be_tested_alone() -> None:
    policy = load_policy_text(
        "tls: Preferred\nrules:\n  - {match: bank.test, tls: Required, mode: testing}\n",
        name="p.yaml",
    )
    bank = explain_address(policy, "a@bank.test", sender="")
    other = explain_address(policy, "a@other.test", sender="")
    assert (bank.setting, bank.tested) == (TlsSetting.PREFERRED, TlsSetting.REQUIRED)
    assert (other.setting, other.tested) == (TlsSetting.PREFERRED, None)
    assert bank.if_no_tls == "delivered in clear text"


def test_an_unknown_mode_is_located() -> None:
    with pytest.raises(PolicyFileError) as caught:
        load_policy_text("tls: Required\nmode: report\n", name="p.yaml")
    assert "p.yaml:2:7: mode: 'report' is not a mode; allowed: enforce, testing" in str(
        caught.value
    )


def test_an_email_relay_is_always_enforced() -> None:
    policy = load_policy_text(
        "tls: Required\nmode: testing\n"
        "email_relays:\n  - {name: front, host: lab/good, tls: Required Verify}\n"
        "domain_filters:\n  - {relay: front}\n",
        name="p.yaml",
    )
    found = explain_address(policy, "a@bank.test", sender="")
    assert (found.setting, found.tested) == (TlsSetting.REQUIRED_VERIFY, None)


@pytest.mark.parametrize(
    ("text", "warned"),
    [
        ("tls: Preferred\nmode: testing\n", ["mode"]),
        ("tls: Required\nmode: testing\n", []),
        (
            "tls: Required\nrules:\n  - {match: a.test, tls: Off, mode: testing}\n",
            ["rules[0].mode"],
        ),
        ("mode: testing\nrules:\n  - {match: a.test, tls: Required}\n", []),
    ],
)
def test_a_mode_without_anything_to_test_is_warned_of(text: str, warned: list[str]) -> None:
    found = lint(parse_policy(text, name="p.yaml", base=Path()))
    assert [problem.path for problem in found if "nothing to test" in problem.message] == warned
