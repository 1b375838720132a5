"""docs/bounces.md: its table of keys is the policy's."""

from __future__ import annotations

import re
from pathlib import Path

from relay.config.file_shape import BounceShape, keys_of
from relay.config.policy_file import load_policy_text
from relay.core.jsonform import to_json

PAGE = (Path(__file__).parents[2] / "docs/bounces.md").read_text("utf-8")
POLICY = "tls: Required\nsalesforce:\n  bounce_management: {}\n"


def test_the_table_has_every_key_and_its_default() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", PAGE, re.MULTILINE)
    assert [key for key, _ in rows] == list(keys_of(BounceShape))
    policy = load_policy_text(POLICY, name="p.yaml")
    defaults = to_json(policy.salesforce.bounces)
    assert isinstance(defaults, dict)
    for key, shown in rows:
        assert shown == str(defaults[key]).replace("False", "false")
