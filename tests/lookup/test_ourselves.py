"""Which answers are our own listeners."""

from __future__ import annotations

import pytest

from relay.core.outcomes import DnsFailure, DnsProblem
from relay.core.routing import HostAddress
from relay.core.settings import TlsMode
from relay.lookup.ourselves import own_listeners


def answer(address: str, port: int = 1025) -> HostAddress:
    return HostAddress(name="mx.peer.test", address=address, port=port, mode=TlsMode.STARTTLS)


@pytest.mark.parametrize(
    ("listener", "address"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::1", "::1"),
        ("::1", "0:0:0:0:0:0:0:1"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.9.9.9"),
        ("::", "::1"),
    ],
)
def test_a_listener_of_ours(listener: str, address: str) -> None:
    assert own_listeners([answer(address)], [("127.0.0.1", 25), (listener, 1025)]) == {
        answer(address)
    }


@pytest.mark.parametrize(
    ("listener", "address"),
    [
        ("127.0.0.1", "127.0.0.2"),
        ("127.0.0.1", "::1"),
        ("0.0.0.0", "::1"),
        ("::", "127.0.0.1"),
        # Reserved for documentation: no machine has them (RFC 5737, RFC 3849).
        ("0.0.0.0", "192.0.2.1"),
        ("::", "2001:db8::1"),
        ("0.0.0.0", "no address"),
    ],
)
def test_somebody_else(listener: str, address: str) -> None:
    assert own_listeners([answer(address)], [(listener, 1025)]) == frozenset()


def test_another_port_is_somebody_else() -> None:
    assert own_listeners([answer("127.0.0.1", 1026)], [("127.0.0.1", 1025)]) == frozenset()


def test_a_failure_has_no_answers() -> None:
    failure = DnsFailure(problem=DnsProblem.NO_HOST, name="x")
    assert own_listeners(failure, [("127.0.0.1", 1025)]) == frozenset()
