"""Whether an address stays on this machine or its private network.

The ranges are written out instead of asked of `ipaddress.is_private`, whose answer counts
documentation and reserved ranges in and has changed between Python releases.
"""

from __future__ import annotations

import ipaddress
from typing import Final

PRIVATE_NETWORKS: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "fc00::/7",  # RFC 4193
    )
)


def stays_local(address: str) -> bool:
    """Whether `address` is loopback or private; an IPv4 address mapped into IPv6 counts as itself.

    Link-local, multicast, unspecified and everything else is not, nor is text that is no address.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_loopback or any(parsed in network for network in PRIVATE_NETWORKS)
