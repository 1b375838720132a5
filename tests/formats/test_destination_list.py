"""Lists of destinations: what a line may be, and where it is wrong."""

from __future__ import annotations

import pytest

from relay.core.addresses import Domain
from relay.formats.destination_list import Listed, read_destination, read_destinations
from relay.formats.email_log_reader import LogProblem


def test_addresses_and_domains_are_read_with_comments_and_empty_lines() -> None:
    lines = ["\ufeffa@Bank.test\n", "\n", "  shop.test  # a comment\n", "# all\n", "<b@x.test>\n"]
    assert list(read_destinations(lines)) == [
        Listed(domain=Domain("bank.test"), recipient="a@Bank.test"),
        Listed(domain=Domain("shop.test")),
        Listed(domain=Domain("x.test"), recipient="b@x.test"),
    ]


def test_a_bad_line_is_located_and_the_rest_is_read() -> None:
    bad, good = read_destinations(["  two words\n", "bank.test\n"], file="list.txt")
    assert isinstance(bad, LogProblem)
    assert str(bad).startswith("list.txt:1:3: ")
    assert good == Listed(domain=Domain("bank.test"))


@pytest.mark.parametrize("text", ["", "@bank.test", "a@", "a@b@", "bank..test"])
def test_what_is_no_destination_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_destination(text)
