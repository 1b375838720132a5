"""Where the receivers of `relay lab serve` listen: known before any of them has started."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import Final

from relay.core.routing import HostAddress
from relay.lab.catalogue import LAB_SCENARIOS

BASE_PORT: Final = 2600
"""The port of the catalogue's first receiver; those after it have the ports after it."""
COMMON_PORT: Final = 2525
"""The port of all receivers where each has an address of its own."""
LAST_PORT: Final = 65535


def ports_from(base_port: int, *, listen: str = "127.0.0.1") -> Mapping[str, HostAddress]:
    """Return one address and a port each, counted up in the catalogue's order; 0 is any free port.

    Raises ValueError where the ports don't suffice.
    """
    if base_port and base_port + len(LAB_SCENARIOS) - 1 > LAST_PORT:
        raise ValueError(
            f"{len(LAB_SCENARIOS)} receivers from port {base_port} on would need ports above "
            f"{LAST_PORT}"
        )
    return _placed(
        {name: (listen, base_port and base_port + at) for at, name in enumerate(LAB_SCENARIOS)}
    )


def own_addresses(port: int = COMMON_PORT) -> Mapping[str, HostAddress]:
    """Return one port and an address each, from 127.0.0.2 on in the catalogue's order.

    Linux takes all of 127.0.0.0/8 for loopback; other systems must be told of each address first.
    """
    first = ip_address("127.0.0.2")
    return _placed({name: (str(first + at), port) for at, name in enumerate(LAB_SCENARIOS)})


def _placed(places: Mapping[str, tuple[str, int]]) -> Mapping[str, HostAddress]:
    return MappingProxyType(
        {
            name: HostAddress(
                name=LAB_SCENARIOS[name].card.host,
                address=address,
                port=port,
                mode=LAB_SCENARIOS[name].card.mode,
            )
            for name, (address, port) in places.items()
        }
    )
