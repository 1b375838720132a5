"""Which addresses stay on this machine or its private network."""

from __future__ import annotations

import pytest

from relay.lookup.locality import stays_local


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "127.255.255.254", "::1", "10.0.0.1", "172.16.0.1", "172.31.255.255",
     "192.168.1.1", "fc00::1", "fdff::1", "::ffff:127.0.0.1", "::ffff:10.1.2.3"],
)  # fmt: skip
def test_loopback_and_private_ranges(address: str) -> None:
    assert stays_local(address)


@pytest.mark.parametrize(
    "address",
    ["8.8.8.8", "172.15.255.255", "172.32.0.0", "11.0.0.0", "192.169.0.0", "100.64.0.1",
     "0.0.0.0", "0.1.2.3", "169.254.169.254", "192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1",
     "255.255.255.255", "::", "2001:db8::1", "2606:4700::1", "fe80::1", "fe80::1%lo", "ff02::1",
     "::ffff:8.8.8.8", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "2002:7f00:1::", "::127.0.0.1",
     "", "localhost", "127.1", "2130706433", "127.0.0.1 ", "10.0.0.0/8"],
)  # fmt: skip
def test_everything_else(address: str) -> None:
    assert not stays_local(address)
