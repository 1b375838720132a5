"""Bounce management in a policy file: off without its key, Salesforce's defaults with it."""

from __future__ import annotations

from relay.config.policy_file import load_policy_text
from relay.core.addresses import Domain
from relay.core.salesforce import (
    BounceManagement,
    BounceRule,
    FlagContactOn,
    MatchingRecords,
    Suppression,
)


def bounces(text: str) -> BounceManagement | None:
    return load_policy_text(text, name="p.yaml").salesforce.bounces


def test_it_is_off_unless_asked_for() -> None:
    assert bounces("tls: Required\n") is None
    assert bounces("salesforce: {preferred_verify_on_bad_certificate: clear}\n") is None


def test_an_empty_mapping_has_the_documented_defaults() -> None:
    found = bounces("salesforce: {bounce_management: {}}\n")
    assert found == BounceManagement(
        domain=Domain("bnc.relay.test"),
        return_to_sender=False,
        matching_records=MatchingRecords.ALL,
        flag_contact_on=FlagContactOn.ANY,
        suppress=Suppression.NO,
        rule=BounceRule.SALESFORCE,
    )


def test_every_key_is_read() -> None:
    found = bounces(
        "salesforce:\n  bounce_management:\n    domain: BNC.Example.com\n"
        "    return_to_sender: true\n    matching_records: first\n    flag_contact_on: Hard\n"
        "    suppress: flagged\n    rule: pardot\n"
    )
    assert found == BounceManagement(
        domain=Domain("bnc.example.com"),
        return_to_sender=True,
        matching_records=MatchingRecords.FIRST,
        flag_contact_on=FlagContactOn.HARD,
        suppress=Suppression.FLAGGED,
        rule=BounceRule.PARDOT,
    )
