"""Fault script files: what they mean, and every mistake in them at once, with its place."""

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest
from typer.testing import CliRunner

from relay.cli.lab import app
from relay.config.fault_script_file import load_fault_scripts, load_fault_scripts_text
from relay.config.problems import PolicyFileError
from relay.config.schema import fault_script_schema
from relay.config.yaml_source import read_yaml
from relay.core.addresses import DomainPattern
from relay.core.fault_scripts import (
    Always,
    Chance,
    Delay,
    EveryNth,
    FaultPhase,
    FaultRule,
    Interference,
    NextN,
    RecipientPattern,
)
from relay.core.places import Place
from relay.core.replies import Reply

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad_scripts").glob("*.yaml"))
SCENARIOS = frozenset({"good", "expired", "tls12"})
EXAMPLE = """\
scripts:
  - scenario: good
    seed: 7
    rules:
      - {phase: rcpt, next: 3, reply: "450 4.2.1 Mailbox busy"}
      - {phase: data, every: 5, do: drop}
      - {phase: mail, chance: 20%, reply: "451 4.3.0 Try later"}
      - {phase: rcpt, recipient: "slow+*", after: 30s, do: silence}
      - {phase: content, recipient: "*@*.b.example", delay: 1.5s}
  - scenario: expired
    rules:
      - {phase: greeting, chance: 0.5, reply: 554}
"""


def at(line: int) -> Place:
    return Place("flaky.yaml", line, 9)


def test_each_kind_of_rule_is_read_as_it_is_meant() -> None:
    good, expired = load_fault_scripts_text(EXAMPLE, name="flaky.yaml", seed=lambda: 99)
    assert (good.scenario, good.seed, good.place) == ("good", 7, Place("flaky.yaml", 2, 5))
    assert (expired.scenario, expired.seed) == ("expired", 99)
    busy = Reply(code=450, text="4.2.1 Mailbox busy")
    later = Reply(code=451, text="4.3.0 Try later")
    assert good.rules == (
        FaultRule(phase=FaultPhase.RCPT, when=NextN(count=3), answer=busy, place=at(5)),
        FaultRule(
            phase=FaultPhase.DATA, when=EveryNth(nth=5), answer=Interference.DROP, place=at(6)
        ),
        FaultRule(phase=FaultPhase.MAIL, when=Chance(probability=0.2), answer=later, place=at(7)),
        FaultRule(
            phase=FaultPhase.RCPT,
            recipients=RecipientPattern(local="slow+*"),
            after=timedelta(seconds=30),
            answer=Interference.SILENCE,
            place=at(8),
        ),
        FaultRule(
            phase=FaultPhase.CONTENT,
            when=Always(),
            recipients=RecipientPattern(domain=DomainPattern.parse("*.b.example")),
            answer=Delay(by=timedelta(seconds=1.5)),
            place=at(9),
        ),
    )
    assert expired.rules[0].answer == Reply(code=554, text="")


def test_without_a_seed_another_one_is_chosen_at_each_load() -> None:
    text = "scripts: [{scenario: good, rules: []}]"
    seeds = {load_fault_scripts_text(text, name="x")[0].seed for _ in range(5)}
    assert len(seeds) > 1


@pytest.mark.parametrize("name", [file.stem for file in BAD])
def test_every_problem_is_reported_as_expected(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE)
    with pytest.raises(PolicyFileError) as caught:
        load_fault_scripts(Path(f"bad_scripts/{name}.yaml"), known_scenarios=SCENARIOS)
    assert f"{caught.value}\n" == Path(f"bad_scripts/{name}.expected").read_text()


def test_without_known_scenarios_their_names_go_unchecked() -> None:
    (script,) = load_fault_scripts_text("scripts: [{scenario: any, rules: []}]", name="x")
    assert script.scenario == "any"


def test_a_missing_file_is_the_system_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_fault_scripts(tmp_path / "none.yaml")


def test_the_schema_takes_the_example_and_refuses_what_the_loader_refuses() -> None:
    schema = fault_script_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    assert list(validator.iter_errors(read_yaml(EXAMPLE, name="x").data)) == []
    for old, new in (
        ("rcpt,", "recipient,"),
        ("every: 5", "every: 0"),
        ("20%", "much"),
        ("450 4.2.1", "250 2.1.5"),
        ("do: drop", "do: nothing"),
        ("seed: 7", "seed: -7"),
        ("delay: 1.5s", "delay: soon"),
        ("after:", "afetr:"),
    ):
        data = read_yaml(EXAMPLE.replace(old, new, 1), name="x").data
        assert list(validator.iter_errors(data)), new


def test_the_stored_schema_is_current() -> None:
    # After a change: relay lab schema > docs/fault-scripts.schema.json
    stored = HERE.parents[1] / "docs" / "fault-scripts.schema.json"
    assert json.loads(stored.read_text()) == fault_script_schema()


def test_the_command_prints_the_schema() -> None:
    printed = CliRunner().invoke(app, ["schema"])
    assert (printed.exit_code, json.loads(printed.stdout)) == (0, fault_script_schema())


def test_the_example_of_the_page_can_be_loaded() -> None:
    page = (HERE.parents[1] / "docs" / "fault-scripts.md").read_text()
    example = page.split("```yaml\n")[1].split("```")[0]
    (script,) = load_fault_scripts_text(example, name="flaky.yaml", known_scenarios=SCENARIOS)
    assert len(script.rules) == 4
    assert f"rule 1 ({script.rules[0].place}): reply {script.rules[0].answer}" in page
