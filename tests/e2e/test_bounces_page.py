"""docs/bounces.md: its commands work, in their order, and its table of keys is the policy's."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from e2e_command import relay, serving

from relay.config.file_shape import BounceShape, keys_of
from relay.config.policy_file import load_policy_text
from relay.core.jsonform import to_json

PAGE = (Path(__file__).parents[2] / "docs/bounces.md").read_text("utf-8")
POLICY = "tls: Required\nsalesforce:\n  bounce_management: {}\n"
CONTACTS = """Id,Email,FirstName,LastName
003A1,ann@no-starttls.lab.test,Ann,Archer
003A2,bob@partner.test,Bob,Builder
003A3,cleo@user-unknown.lab.test,Cleo,
"""


def test_the_table_has_every_key_and_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert [key for key, _ in rows] == list(keys_of(BounceShape))
    policy = load_policy_text(POLICY, name="p.yaml")
    defaults = to_json(policy.salesforce.bounces)
    assert isinstance(defaults, dict)
    for key, shown in rows:
        assert shown == str(defaults[key]).replace("False", "false")


def test_its_commands_work(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY)
    (tmp_path / "contacts.csv").write_text(CONTACTS)
    state = tmp_path / "state"
    lines = [line[2:] for line in PAGE.splitlines() if line.startswith("$ ")]
    assert len(lines) == 9
    printed: dict[str, str] = {}
    with serving(state, "--policy", str(tmp_path / "p.yaml")):
        assert relay(state, "send", "ann@no-starttls.lab.test").returncode == 1
        for line in lines:
            words = shlex.split(line.partition(" > ")[0])
            done = relay(state, *words[1:], cwd=tmp_path)
            assert done.returncode == 0, (line, done.stderr)
            printed[line] = done.stdout
    assert printed["relay contacts import contacts.csv"] == "3 added, 0 updated\n"
    bounced = printed["relay contacts list --bounced"]
    assert " ".join(re.sub(r"\d{4}-\S+ [\d:]+", "WHEN", bounced).split()) == (
        "Contact 003A1 ann@no-starttls.lab.test Ann Archer "
        "bounced WHEN 451 4.7.6 [internal] STARTTLS required but not advertised"
    )
