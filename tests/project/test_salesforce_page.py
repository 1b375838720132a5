"""docs/salesforce.md names every switch with its values, and every setting of an org."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relay.config.file_shape import (
    BounceShape,
    DomainFilterShape,
    EmailRelayShape,
    PolicyShape,
    SalesforceShape,
    Shape,
    keys_of,
)
from relay.config.schema import policy_schema

PAGE = (Path(__file__).parents[2] / "docs" / "salesforce.md").read_text("utf-8")
ROWS = dict(re.findall(r"^\| `([a-z_]+)` \| (.*?) \|", PAGE, re.MULTILINE))
OPEN = {"bounce_management", "compliance_bcc"}
"""Keys whose values no list has."""

SHAPES: dict[str, type[Shape]] = {
    "salesforce": SalesforceShape,
    "salesforce.bounce_management": BounceShape,
    "email_relays": EmailRelayShape,
    "domain_filters": DomainFilterShape,
}
OURS = {
    *("email_relays.name", "salesforce.preferred_verify_on_bad_certificate"),
    *("salesforce.required_on_bad_certificate", "salesforce.on_tls_failure"),
    *("salesforce.refused_starttls", "salesforce.email_relay_tls"),
}
"""Keys that stand for no setting of an org: a name, and questions that documents leave open."""


def settings() -> list[list[str]]:
    section = PAGE.partition("## Every setting of an org")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[1:]]


def keys() -> set[str]:
    found = set(keys_of(PolicyShape))
    for prefix, shape in SHAPES.items():
        found |= {f"{prefix}.{key}" for key in keys_of(shape)}
    return found


def test_every_switch_is_there_with_its_values() -> None:
    assert list(ROWS) == [
        *(key for key in keys_of(SalesforceShape) if key != "bounce_management"),
        "bounce_management",
    ]
    properties = policy_schema()["$defs"]["SalesforceShape"]["properties"]
    for key, values in ROWS.items():
        if key in OPEN:
            continue
        named = re.findall(r"`([a-z-]+)`", values)
        allowed = properties[key].get("enum", ["true", "false"])
        assert set(named) == set(allowed), key
        assert f"Default: {named[0]}." in properties[key]["description"], key


@pytest.mark.parametrize("row", settings(), ids=lambda row: row[0])
def test_a_setting_of_an_org_leads_to_a_key_or_says_why_not(row: list[str]) -> None:
    there, _, here, source = row
    assert there
    assert source
    named = re.findall(r"`([^`]+)`", here)
    assert set(named) <= keys()
    assert named or here == "none"


def test_no_key_that_is_salesforce_s_is_missing() -> None:
    named = {key for row in settings() for key in re.findall(r"`([^`]+)`", row[2])}
    wanted = {f"{prefix}.{key}" for prefix, shape in SHAPES.items() for key in keys_of(shape)}
    assert wanted - named == OURS
    assert {"tls", "restrict_tls_to", "minimum_tls", "retry"} <= named
