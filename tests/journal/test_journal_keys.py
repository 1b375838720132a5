"""A domain's key, taken from an address in the short way, is what the strict reading gives."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from relay.core.addresses import parse_address
from relay.journal.keys import domain_key, domain_of, storable

PIECES = st.sampled_from(
    ("u", "@", ".", " ", '"', "Bank.Test", "bücher", "[127.0.0.1]", "[IPv6:FE80::1]", "\udcff", "_")
)


@given(st.lists(PIECES, max_size=6).map("".join))
@example("u@[IPv6:FE80::1]")
@example("u u@[IPv6:FE80::1]")
@example('"a@b"@bank.test')
@example("@bank.test")
@example("u@bank.test.")
def test_the_short_way_is_the_long_one(address: str) -> None:
    try:
        long: str = parse_address(address).domain
    except ValueError:
        long = domain_key(address.rpartition("@")[2])
    assert domain_of(address) == long


@given(st.text(st.characters(), max_size=8))
def test_what_is_storable_can_be_encoded_and_stays_if_it_could_be(text: str) -> None:
    found = storable(text)
    found.encode()
    try:
        text.encode()
    except UnicodeEncodeError:
        assert "?" in found
    else:
        assert found == text


@pytest.mark.parametrize("text", ["Bücher.TEST.", "xn--bcher-kva.test"])
def test_a_domains_key_is_in_a_labels(text: str) -> None:
    assert domain_key(text) == "xn--bcher-kva.test"
