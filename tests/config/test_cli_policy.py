"""`relay policy`, as typed."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from relay.cli.policy import app
from relay.config.resources import shipped
from relay.config.schema import policy_schema

BAD = Path(__file__).parent / "bad"


@pytest.fixture(autouse=True)
def _no_policy_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RELAY_POLICY", raising=False)


def run(*arguments: str, **environment: str) -> Any:
    return CliRunner().invoke(app, [*arguments], env=environment)


def test_lint_shows_each_problem_with_its_line_and_a_caret() -> None:
    result = run("lint", str(BAD / "five-mistakes.yaml"))
    assert result.exit_code == 1
    blocks = result.stdout.split("\n\n")
    assert blocks[3].splitlines() == [
        f"{BAD}/five-mistakes.yaml:6:32: error in routes[0].to",
        "  the lab has no scenario 'expird'; did you mean 'expired'?",
        "  6 |   - {match: partner-x.com, to: lab/expird}",
        "    |                                ^",
    ]
    assert blocks[-1] == "1 file: 5 errors, 0 warnings\n"


def test_lint_of_a_long_line_keeps_the_caret_under_the_value(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    names = ", ".join(f"d{n}.example" for n in range(40))
    path.write_text(f'tls: Required Verify\nrestrict_tls_to: "{names}, -bad.example, z.example"\n')
    source, caret = run("lint", str(path)).stdout.splitlines()[-4:-2]
    assert source[caret.index("^") :].startswith("-bad.example")
    assert len(source) <= 80


def test_lint_exits_by_what_it_finds() -> None:
    assert run("lint", "required-verify", "off").exit_code == 0
    assert run("lint", "required").exit_code == 0
    assert run("lint", "required", "--strict").exit_code == 1
    assert run("lint", "required-verify", "--strict").exit_code == 0
    assert run("lint", str(BAD / "tabs.yaml"), "off").exit_code == 1


def test_lint_of_a_missing_file_is_a_usage_error() -> None:
    result = run("lint", "off", "requird")
    assert result.exit_code == 2
    assert "relay: no policy file 'requird'\n  did you mean 'required'?" in result.stderr
    assert result.stdout == ""


def test_lint_as_json() -> None:
    result = run("lint", "--json", str(BAD / "two-documents.yaml"), "required")
    assert result.exit_code == 1
    problems = json.loads(result.stdout)
    assert [p["severity"] for p in problems] == ["error", "warning"]
    assert problems[0] == {
        "place": {"file": str(BAD / "two-documents.yaml"), "line": 2, "column": 1},
        "path": "",
        "message": "a second document begins here; one is allowed",
        "hint": None,
        "severity": "error",
    }


def test_lint_knows_the_lab_s_scenarios(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("routes: [{match: a.example, to: lab/no-startls}]")
    assert "did you mean 'no-starttls'?" in run("lint", str(path)).stdout


def test_lint_never_sends_control_characters_to_the_terminal() -> None:
    result = run("lint", str(BAD / "control-character.yaml"))
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout


FOUNDING = [
    ("john@aco.subdomains.com", "required", "*.subdomains.com", "451 4.7.6"),
    ("john@bco.subdomains.com", "required", "*.subdomains.com", "451 4.7.6"),
    ("john@subdomains.com", "preferred", "*", "delivered in clear text"),
]


@pytest.mark.parametrize(("address", "setting", "rule", "no_tls"), FOUNDING)
def test_explain_as_json(address: str, setting: str, rule: str, no_tls: str) -> None:
    result = run("explain", address, "--policy", "restricted-domains", "--json")
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["address"], found["setting"], found["rule"]) == (address, setting, rule)
    assert no_tls in found["if_no_tls"]
    assert found["domain"] == address.partition("@")[2]
    assert found["place"].endswith("restricted-domains.yaml:21")
    assert found["reason"]
    assert (found["starttls"], found["minimum_tls"]) == ("try", "1.2")
    assert found["on_no_tls"] == ("terminate" if setting == "required" else "clear")
    assert found["on_bad_certificate"] == "ignore"
    assert found["route"] == "lab/no-starttls"
    assert found["route_reason"].startswith("the route for ")


def explained(tls: str, tmp_path: Path, *, to: str = "lab/good", more: str = "") -> dict[str, str]:
    path = tmp_path / "p.yaml"
    path.write_text(f"tls: {tls}\nroutes: [{{match: a.example, to: '{to}'}}]\n{more}")
    result = run("explain", "jane@a.example", "--policy", str(path), "--json")
    assert result.exit_code == 0
    found: dict[str, str] = json.loads(result.stdout)
    return found


CLEAR = "delivered in clear text"
NEW = "delivered in clear text, in a new session"
NEVER = "TLS is never tried: delivered in clear text"
UNJUDGED = "delivered encrypted: the certificate is not judged"


@pytest.mark.parametrize(
    ("tls", "no_tls", "handshake", "certificate"),
    [
        ("Off", NEVER, NEVER, NEVER),
        ("Preferred", CLEAR, NEW, UNJUDGED),
        ("Preferred Verify", CLEAR, NEW, "not delivered: 451 4.7.5"),
        ("Required", "not delivered: 451 4.7.6", "not delivered: 451 4.7.5", UNJUDGED),
        (
            "Required Verify",
            "not delivered: 451 4.7.6",
            "not delivered: 451 4.7.5",
            "not delivered: 451 4.7.5",
        ),
    ],
)
def test_explain_says_in_plain_words_what_follows(
    tmp_path: Path, tls: str, no_tls: str, handshake: str, certificate: str
) -> None:
    found = explained(tls, tmp_path)
    assert found["if_no_tls"].startswith(no_tls)
    assert found["if_handshake_fails"].startswith(handshake)
    assert found["if_bad_certificate"].startswith(certificate)


def test_explain_names_the_code_of_the_policy_s_book(tmp_path: Path) -> None:
    found = explained("Required", tmp_path, more="codes: exchange")
    assert found["if_no_tls"].startswith("not delivered: 450 4.7.321")


def test_explain_follows_the_switch_for_preferred_verify(tmp_path: Path) -> None:
    switch = "salesforce: {preferred_verify_on_bad_certificate: clear}"
    assert explained("Preferred Verify", tmp_path, more=switch)["if_bad_certificate"] == NEW


def test_explain_knows_that_implicit_tls_has_no_clear_text(tmp_path: Path) -> None:
    found = explained("Preferred", tmp_path, to="smtps://mx.example:465")
    assert found["if_no_tls"] == "can't be: smtps://mx.example:465 is implicit TLS"
    assert found["if_handshake_fails"].startswith("not delivered: 451 4.7.5")
    assert found["if_bad_certificate"] == UNJUDGED
    found = explained("Off", tmp_path, to="smtps://mx.example:465")
    assert found["if_bad_certificate"].startswith("encrypted all the same")


def test_explain_for_people_fits_eighty_columns() -> None:
    result = run("explain", "john@aco.subdomains.com", RELAY_POLICY="restricted-domains")
    assert result.exit_code == 0
    assert "TLS setting         Required\n" in result.stdout
    assert "not delivered: 451 4.7.6 [internal]" in result.stdout
    lines = result.stdout.splitlines()[1:]
    assert max(len(line) for line in lines if "/" not in line) <= 80


def test_explain_without_a_policy_takes_the_default() -> None:
    found = json.loads(run("explain", "a@good.lab.test", "--json").stdout)
    assert (found["setting"], found["route"]) == ("required-verify", "lab/good")


@pytest.mark.parametrize("address", ["jane", "@a.example", "jane@", "a b@c.example"])
def test_explain_refuses_what_is_no_address(address: str) -> None:
    result = run("explain", address)
    assert result.exit_code == 2
    assert result.stdout == ""


def test_explain_with_a_broken_policy_names_its_problems() -> None:
    result = run("explain", "jane@a.example", "--policy", str(BAD / "five-mistakes.yaml"))
    assert result.exit_code == 2
    assert result.stderr.count("five-mistakes.yaml:") == 5


def test_schema_is_printed() -> None:
    assert json.loads(run("schema").stdout) == policy_schema()


@pytest.mark.parametrize("name", ["required", "everything"])
def test_show_prints_a_policy_to_begin_with(name: str, tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(run("show", name).stdout)
    assert mine.read_bytes() == (shipped("policies") / f"{name}.yaml").read_bytes()


def test_show_of_what_is_not_shipped_says_what_is() -> None:
    result = run("show", "requird")
    assert result.exit_code == 2
    assert result.output == "relay: no policy file 'requird'\n  did you mean 'required'?\n"


def test_list_names_every_shipped_policy() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert {"off", "required-verify", "everything"} <= {row["name"] for row in rows}
    restricted = next(row for row in rows if row["name"] == "restricted-domains")
    assert restricted["restrict_tls_to"] == ["*.subdomains.com"]
    text = run("list").stdout
    assert all(row["name"] in text for row in rows)


@pytest.mark.parametrize(
    ("tls", "to", "more", "waits"),
    [
        ("Preferred", "mx", "", True),
        ("Preferred Verify", "mx:b.example", "", True),
        ("Preferred", "mx", "clear_text: same-host", False),
        ("Preferred", "mx.example", "", False),
        ("Off", "mx", "", False),
        ("Required", "mx", "", False),
    ],
)
def test_explain_says_that_clear_text_waits_for_the_other_hosts(
    tmp_path: Path, tls: str, to: str, more: str, waits: bool
) -> None:
    found = explained(tls, tmp_path, to=to, more=more)
    for key in ("if_no_tls", "if_handshake_fails"):
        assert found[key].endswith(", once every host was asked for TLS") is waits
    assert not found["if_bad_certificate"].endswith("TLS")


def test_explain_says_where_dns_names_no_host() -> None:
    result = CliRunner().invoke(app, ["explain", "a@null-mx.lab.test", "--policy", "required"])
    told = " ".join(result.output.split())
    assert "host none: The domain 'null-mx.lab.test' takes no mail" in told
    assert "Not delivered: 550 5.4.4 [internal] NULL MX" in told
    assert "no TLS offered" not in told
    there = CliRunner().invoke(app, ["explain", "a@no-mx.lab.test", "--policy", "required"])
    assert "no TLS offered" in there.output


def test_explain_says_that_nothing_is_asked_below_invalid(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("salesforce: {invalid_domains: discard}\n")
    told = run("explain", "a@some.invalid", "--policy", str(path)).output
    assert "host                none: the message is dropped, and reads as sent" in told
    assert "handshake" not in told
