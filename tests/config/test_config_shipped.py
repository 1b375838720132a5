"""The shipped policies: complete, commented, and as their comments say."""

from datetime import timedelta
from pathlib import Path

import pytest

from relay.config.explain import explain_address
from relay.config.file_shape import SHAPES, AuthShape, HostShape, PolicyShape, keys_of
from relay.config.lint import lint
from relay.config.policy_file import (
    DEFAULT_POLICY,
    PolicyNotFoundError,
    find_policy,
    load_policy_file,
    shipped_policies,
)
from relay.config.resources import shipped
from relay.core.replies import ReplyMode
from relay.core.settings import TlsSetting
from relay.lab.catalogue import SCENARIOS

POLICIES = sorted(shipped("policies").glob("*.yaml"))
SURPRISES = {
    "email-relay": ["email_relays[0].tls"],
    "everything": ["tls", "salesforce.bounce_management"],
    "off": ["tls"],
    "preferred-verify": ["tls"],
    "queued-required": ["tls"],
    "required": ["tls"],
    "restricted-domains": ["tls"],
}
"""The warnings that shipped policies are meant to show, by path; all others have none."""


def test_they_are_all_there() -> None:
    assert {path.stem for path in POLICIES} == {
        "off",
        "preferred",
        "preferred-verify",
        "required",
        "required-verify",
        "restricted-domains",
        "email-relay",
        "everything",
        "salesforce-org",
        "queued-required",
        "queued-required-verify",
    }
    assert find_policy(DEFAULT_POLICY).is_file()


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_each_loads_with_known_scenarios_and_known_surprises(path: Path) -> None:
    loaded = load_policy_file(path, known_scenarios=frozenset(SCENARIOS))
    assert [p.path for p in lint(loaded)] == SURPRISES.get(path.stem, [])


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_each_points_editors_at_the_schema_and_fits_a_screen(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert lines[0] == "# yaml-language-server: $schema=policy.schema.json"
    assert max(len(line) for line in lines) <= 100


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_each_says_what_to_try_with_its_own_name(path: Path) -> None:
    text = path.read_text()
    assert f"--policy {path.stem}" in text
    assert path.stem == "everything" or "relay send " in text


@pytest.mark.parametrize("setting", TlsSetting)
def test_the_five_settings_have_a_policy_each(setting: TlsSetting) -> None:
    loaded = load_policy_file(find_policy(setting.value))
    assert loaded.tls.default.setting is setting


@pytest.mark.parametrize(
    ("address", "setting"),
    [
        ("john@aco.subdomains.com", TlsSetting.REQUIRED),
        ("john@bco.subdomains.com", TlsSetting.REQUIRED),
        ("john@subdomains.com", TlsSetting.PREFERRED),
    ],
)
def test_the_founding_question_s_addresses(address: str, setting: TlsSetting) -> None:
    policy = load_policy_file(find_policy("restricted-domains")).policy
    found = explain_address(policy, address, sender="sender@example.test")
    assert (found.setting, found.route) == (setting, "lab/no-starttls")


@pytest.mark.parametrize("name", ["queued-required", "queued-required-verify"])
def test_a_queued_day_plays_within_a_minute(name: str) -> None:
    delivery = load_policy_file(find_policy(name)).policy.delivery
    assert delivery.reply is ReplyMode.QUEUED
    assert delivery.schedule.expire_after is not None
    assert delivery.schedule.expire_after <= timedelta(minutes=1)
    assert len(delivery.schedule.delays) == 8


def test_everything_has_every_key() -> None:
    path = find_policy("everything")
    data = load_policy_file(path).tree.data
    assert isinstance(data, dict)
    # A relay would leave the routes unused, so that it stands there as a comment.
    assert set(keys_of(PolicyShape)) - set(data) == {"relay"}
    words = path.read_text()
    for name, shape in {**SHAPES, "hosts": HostShape, "auth": AuthShape}.items():
        keys = keys_of(shape) if name != "codes" else ("book", "tls-not-offered")
        assert [key for key in keys if key not in words] == []


def test_policies_are_found_by_path_and_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_policy("required") == shipped("policies") / "required.yaml"
    Path("mine.yaml").write_text("tls: Off")
    assert find_policy("mine.yaml") == Path("mine.yaml")
    Path("required").write_text("tls: Off")
    assert find_policy("required") == Path("required")
    assert find_policy(str(tmp_path / "mine.yaml")) == tmp_path / "mine.yaml"


def test_shipped_policies_are_named_from_the_working_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(shipped("policies").parent)
    assert Path("policies/off.yaml") in shipped_policies()


def test_from_the_root_of_all_they_are_named_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert find_policy("off") == shipped("policies") / "off.yaml"


@pytest.mark.parametrize(
    ("wanted", "hint"),
    [
        ("requird-verify", "did you mean 'required-verify'?"),
        ("policies/no/requird.yaml", "did you mean 'required'?"),
        ("zzz", "shipped policies: email-relay, "),
    ],
)
def test_a_policy_that_is_not_there_gets_a_hint(wanted: str, hint: str) -> None:
    with pytest.raises(PolicyNotFoundError, match="no policy file") as caught:
        find_policy(wanted)
    assert caught.value.hint.startswith(hint)
