"""Broken policies are fixtures: bad/NAME.yaml, and beside it every message in bad/NAME.expected."""

from pathlib import Path

import pytest
import yaml

from relay.config import yaml_source
from relay.config.policy_file import load_policy
from relay.config.problems import PolicyFileError, Severity

HERE = Path(__file__).parent
BAD = sorted((HERE / "bad").glob("*.yaml"))
SCENARIOS = frozenset({"good", "expired", "no-starttls"})


def problems_of(path: Path) -> PolicyFileError:
    with pytest.raises(PolicyFileError) as caught:
        load_policy(path, known_scenarios=SCENARIOS)
    return caught.value


@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
@pytest.mark.parametrize("name", [file.stem for file in BAD])
def test_every_problem_is_reported_as_expected(
    name: str, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alike with libyaml's parser and with PyYAML's own, which takes over where that is missing."""
    monkeypatch.setattr(yaml_source, "_Loader", getattr(yaml, loader, yaml.SafeLoader))
    monkeypatch.chdir(HERE)
    expected = Path(f"bad/{name}.expected").read_text()
    assert f"{problems_of(Path(f'bad/{name}.yaml'))}\n" == expected


def test_no_fixture_stands_alone() -> None:
    expected = {file.stem for file in (HERE / "bad").glob("*.expected")}
    assert expected == {file.stem for file in BAD}


def test_five_mistakes_give_five_located_errors() -> None:
    error = problems_of(HERE / "bad" / "five-mistakes.yaml")
    assert [p.path for p in error.problems] == [
        "tls",
        "restrict_tls_to[1]",
        "rules[0].minimum_tls",
        "routes[0].to",
        "reply_wthin",
    ]
    assert [(p.place.line, p.place.column) for p in error.problems] == [
        (1, 6),
        (2, 38),
        (4, 62),
        (6, 32),
        (7, 1),
    ]
    assert {p.severity for p in error.problems} == {Severity.ERROR}


def test_a_refused_tls_does_not_bring_up_the_restriction_as_well() -> None:
    error = problems_of(HERE / "bad" / "five-mistakes.yaml")
    assert not any("nothing to restrict" in p.message for p in error.problems)


@pytest.mark.parametrize("size", [(1 << 20) + 1, 3 << 20])
def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path, size: int) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * size)
    (problem,) = problems_of(path).problems
    assert problem.message == f"the file has {size} octets; allowed are 1048576"


def test_nested_aliases_are_refused_before_they_grow(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    path = tmp_path / "growing.yaml"
    path.write_text("\n".join(lines))
    assert any("anchors" in p.message for p in problems_of(path).problems)


def test_a_file_that_is_missing_is_the_system_s_own_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_policy(tmp_path / "none.yaml")
