"""The ports that tests hand to other programs."""

from __future__ import annotations

import socket
from pathlib import Path

from e2e_ports import free_port, free_run


def test_no_port_comes_twice() -> None:
    ports = [free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    base = free_run(100)
    assert not {*range(base, base + 100)} & {*ports}


def test_a_port_in_use_is_passed_over_and_so_is_a_row_that_has_it() -> None:
    base = free_run(3)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + 4))
        found = free_run(3)
        assert base + 4 not in range(found, found + 3)


def test_ports_lie_below_those_that_the_system_gives() -> None:
    lowest = Path("/proc/sys/net/ipv4/ip_local_port_range")
    given_from = int(lowest.read_text().split()[0]) if lowest.exists() else 49152
    assert free_port() < given_from
