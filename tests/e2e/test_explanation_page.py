"""The explanations: what they say of codes and switches is so."""

from __future__ import annotations

import re

from page_commands import REPOSITORY

from relay.config.schema import policy_schema
from relay.core.codebook_data import CODE_BOOKS
from relay.core.failure_kinds import FailureKind

VENDORS = (REPOSITORY / "docs/vendors.md").read_text("utf-8")


def test_the_codes_of_a_missing_offer_are_those_of_the_books() -> None:
    told = dict(re.findall(r"^\| `([a-z]+)` \| (\d.+) \|$", VENDORS, re.MULTILINE))
    kind = FailureKind.TLS_NOT_OFFERED
    assert told == {name: str(book.entries[kind]) for name, book in CODE_BOOKS.items()}


def test_most_books_give_up_with_the_code_that_is_named() -> None:
    codes = [str(book.entries[FailureKind.QUEUE_EXPIRED]) for book in CODE_BOOKS.values()]
    assert sum(" 5.4.7 " in code for code in codes) == 3
    assert "5.4.7\nin three of the four books" in VENDORS


def test_the_switches_that_are_named_have_these_values() -> None:
    schema = policy_schema()
    switches = schema["$defs"]["SalesforceShape"]["properties"]
    named = re.findall(r"`([a-z_]+): ([a-z-]+)`", VENDORS)
    assert len(named) == 3
    for key, value in named:
        assert value in switches[key]["enum"]
        assert not switches[key]["description"].endswith(f"Default: {value}.")
    assert {"also_match_domain", "common_name", "codes"} <= set(schema["properties"])
