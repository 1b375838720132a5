"""Which of a resolver's answers are this relay's own listeners."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Sequence

from relay.core.outcomes import Failure
from relay.core.routing import HostAddress


def own_listeners(
    answers: Sequence[HostAddress] | Failure, listeners: Iterable[tuple[str, int]]
) -> frozenset[HostAddress]:
    """Return those answers that connect to one of `listeners`: numeric addresses with ports.

    A listener on the unspecified address is at every address of this machine.
    """
    if not isinstance(answers, Sequence):
        return frozenset()
    at = [(host, answer) for host, port in listeners for answer in answers if port == answer.port]
    return frozenset(answer for host, answer in at if _listens_at(host, answer.address))


def _listens_at(host: str, address: str) -> bool:
    try:
        listening, wanted = ipaddress.ip_address(host), ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(wanted, ipaddress.IPv6Address) and wanted.ipv4_mapped is not None:
        wanted = wanted.ipv4_mapped
    if not listening.is_unspecified:
        return listening == wanted
    return listening.version == wanted.version and _is_own(wanted)


def _is_own(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether this machine has the address: a socket can be bound to no other."""
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True
