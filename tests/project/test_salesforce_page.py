"""docs/salesforce.md names every switch, each with its values, the default first."""

from __future__ import annotations

import re
from pathlib import Path

from relay.config.file_shape import SalesforceShape, keys_of
from relay.config.schema import policy_schema

PAGE = (Path(__file__).parents[2] / "docs" / "salesforce.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", PAGE, re.MULTILINE))


def test_every_switch_is_there_with_its_values() -> None:
    assert list(ROWS) == [
        *(key for key in keys_of(SalesforceShape) if key != "bounce_management"),
        "bounce_management",
    ]
    properties = policy_schema()["$defs"]["SalesforceShape"]["properties"]
    for key, values in ROWS.items():
        if key == "bounce_management":
            continue
        named = re.findall(r"`([a-z-]+)`", values)
        assert set(named) == set(properties[key]["enum"]), key
        assert f"Default: {named[0]}." in properties[key]["description"], key
