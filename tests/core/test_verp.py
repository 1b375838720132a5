"""Reverse paths of our own: there and back, within the octets that a local part may have."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.addresses import MAX_LOCAL_PART, Domain, parse_address
from relay.core.ids import make_id
from relay.core.verp import VerpPath, decode_verp, encode_verp

ID = "1m7ztn1wxm4gv6m21"
DOMAIN = Domain("bnc.relay.test")
ATOMS = st.text("abcXYZ019!#$%&'*+/=?^_`{|}~-", min_size=1, max_size=40)
LOCALS = st.lists(ATOMS, min_size=1, max_size=3).map(".".join).filter(lambda text: len(text) <= 64)
LABELS = st.from_regex(r"[a-z0-9]([a-z0-9_-]{0,20}[a-z0-9])?", fullmatch=True)
DOMAINS = st.lists(LABELS, min_size=1, max_size=4).map(".".join)
IDS = st.builds(
    make_id,
    st.datetimes(datetime(2000, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 2**40 - 1),
)
SHORT = MAX_LOCAL_PART - len("=__") - len(ID)


def test_the_shape_is_salesforce_s() -> None:
    path = encode_verp("jane.doe@example.com", ID, DOMAIN)
    assert path == f"jane.doe=example.com__{ID}@bnc.relay.test"
    assert decode_verp(parse_address(path)) == VerpPath(ID, "jane.doe@example.com")


@given(local=LOCALS, domain=DOMAINS, message_id=IDS)
def test_what_fits_comes_back_whole(local: str, domain: str, message_id: str) -> None:
    path = encode_verp(f"{local}@{domain}", message_id, DOMAIN)
    whole = f"{local}@{domain}" if len(local) + len(domain) <= SHORT else None
    assert decode_verp(parse_address(path)) == VerpPath(message_id, whole)


@given(
    local=st.one_of(LOCALS, st.text("äöü日", min_size=1, max_size=15), st.just('"a b\\"@c"')),
    domain=st.one_of(DOMAINS, st.just("[127.0.0.1]"), st.just("[IPv6:::1]")),
    message_id=IDS,
)
def test_every_path_is_an_ascii_address_that_finds_its_message(
    local: str, domain: str, message_id: str
) -> None:
    path = encode_verp(f"{local}@{domain}", message_id, DOMAIN)
    address = parse_address(path)
    assert path.isascii()
    assert len(address.local) <= MAX_LOCAL_PART
    assert address.domain == DOMAIN
    found = decode_verp(address)
    assert found is not None
    assert found.message_id == message_id
    assert found.sender in {None, f"{local}@{domain}"}


def test_capitals_that_a_host_made_do_no_harm() -> None:
    path = encode_verp("jane@example.com", ID, DOMAIN).upper()
    found = decode_verp(parse_address(path))
    assert found is not None
    assert found.message_id == ID


@pytest.mark.parametrize(
    "address",
    [
        "jane@example.com",
        f"{ID}@bnc.relay.test",
        f"jane=example.com__{ID[:-1]}@bnc.relay.test",
        f"jane=example.com__{ID}0@bnc.relay.test",
        "jane=example.com__latest@bnc.relay.test",
        "jane=example.com__@bnc.relay.test",
        f"jane=example.com__{'u' * 17}@bnc.relay.test",
    ],
)
def test_other_addresses_are_none_of_ours(address: str) -> None:
    assert decode_verp(parse_address(address)) is None


@pytest.mark.parametrize(("sender", "message_id"), [("", ID), ("a@b@", ID), ("a@b.test", "latest")])
def test_only_an_address_and_an_id_make_a_path(sender: str, message_id: str) -> None:
    with pytest.raises(ValueError, match=r"address|local part|the id of"):
        encode_verp(sender, message_id, DOMAIN)
