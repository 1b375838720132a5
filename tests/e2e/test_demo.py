"""`relay demo`: every cell as typed by hand; and it notices a judge that was broken on purpose."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from relay.audit.expectations import EXPECTATIONS
from relay.cli.app import app
from relay.core import verdicts
from relay.core.addresses import Domain
from relay.core.evidence import TlsEvidence
from relay.core.faults import TlsFault
from relay.core.routing import HostAddress
from relay.core.settings import Protection, TlsSetting
from relay.core.tls_policy import TlsPolicy
from relay.lab import availability
from relay.lab.catalogue import SCENARIOS
from relay.lookup.resolver import ChainedResolver
from relay.outbound import judgement


def test_every_cell_is_as_expected() -> None:
    result = CliRunner().invoke(app, ["demo", "--json"])
    cells = json.loads(result.stdout)
    wrong = [cell for cell in cells if not cell["as_expected"]]
    assert wrong == []
    assert result.exit_code == 0
    assert [(c["scenario"], c["setting"]) for c in cells] == [
        (name, setting.value) for name in SCENARIOS for setting in TlsSetting
    ]
    assert {"scenario", "setting", "verdict", "code", "delivered", "expected"} <= set(cells[0])
    for cell in cells:
        assert (
            cell["delivered"]
            is EXPECTATIONS[cell["scenario"]][TlsSetting(cell["setting"])].delivered
        )


def test_every_scenario_has_expectations() -> None:
    assert set(EXPECTATIONS) == set(SCENARIOS)


@pytest.mark.parametrize(
    ("scenario", "broken"),
    [
        ("no-starttls", verdicts.Deliver(protection=Protection.CLEAR)),
        ("expired", verdicts.Deliver(protection=Protection.ENCRYPTED)),
        ("good", verdicts.Terminate(faults=())),
        ("good", verdicts.RetryInClear(faults=())),
    ],
    ids=["delivers-in-clear", "ignores-expiry", "refuses-the-good", "downgrades"],
)
def test_a_broken_judge_makes_demo_exit_1(
    monkeypatch: pytest.MonkeyPatch, scenario: str, broken: verdicts.Verdict
) -> None:
    honest = verdicts.judge

    def judge(
        policy: TlsPolicy, evidence: TlsEvidence, faults: tuple[TlsFault, ...]
    ) -> verdicts.Verdict:
        verifies = policy.setting is TlsSetting.REQUIRED_VERIFY
        return broken if verifies else honest(policy, evidence, faults)

    monkeypatch.setattr(judgement, "judge", judge)
    result = CliRunner().invoke(app, ["demo", "--scenario", scenario, "--json"])
    assert result.exit_code == 1
    wrong = [cell for cell in json.loads(result.stdout) if not cell["as_expected"]]
    assert [cell["setting"] for cell in wrong] == ["required-verify"]


def test_a_message_that_went_to_another_receiver_makes_demo_exit_1(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def astray(
        self: ChainedResolver, scenario: str, domain: Domain
    ) -> tuple[HostAddress, ...]:
        assert (scenario, domain) == ("null-mx", "null-mx.lab.test")
        assert self._lab is not None
        return (await self._lab.address("good"),)

    monkeypatch.setattr(ChainedResolver, "_scenario", astray)
    result = CliRunner().invoke(app, ["demo", "--scenario", "null-mx", "--json"])
    assert result.exit_code == 1
    assert all(cell["delivered"] for cell in json.loads(result.stdout))


def test_the_table_fits_a_terminal_of_80_columns() -> None:
    result = CliRunner().invoke(app, ["demo", "--scenario", "good", "--scenario", "no-starttls"])
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert (
        "10 messages, 8 stored by their receivers, 2 refused; 0 not as expected." in result.stdout
    )


def test_scenarios_are_named_by_commas_as_those_of_a_proof_are() -> None:
    result = CliRunner().invoke(app, ["demo", "--scenario", "good, user-unknown", "--json"])
    assert result.exit_code == 0, result.output
    cells = json.loads(result.stdout)
    assert {cell["scenario"] for cell in cells} == {"good", "user-unknown"}


def test_an_unknown_scenario_is_a_usage_error() -> None:
    result = CliRunner().invoke(app, ["demo", "--scenario", "good,expird"])
    assert result.exit_code == 2
    assert "no scenario 'expird'; did you mean expired" in result.stderr


@pytest.mark.parametrize(("scenarios", "code"), [(("good", "rc4-only"), 0), (("rc4-only",), 3)])
def test_what_this_machine_can_not_run_is_named_and_no_failure(
    monkeypatch: pytest.MonkeyPatch, scenarios: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr(availability, "find_spec", lambda _: None)
    options = [word for name in scenarios for word in ("--scenario", name)]
    result = CliRunner().invoke(app, ["demo", "--json", *options])
    assert result.exit_code == code
    said = " ".join(result.stderr.split())
    assert "not run: rc4-only needs the library tlslite-ng" in said
    assert "relaylab[legacy-tls]" in said
    if code == 0:
        assert {cell["scenario"] for cell in json.loads(result.stdout)} == {"good"}
