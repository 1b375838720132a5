"""What a TLS session gets between `start_tls` and its handshake."""

from __future__ import annotations

import asyncio
from asyncio.sslproto import SSLProtocol
from typing import Any, Final, cast

RECEIVED_AT_ONE_TIME: Final = 32_768
"""Octets; a TLS record has half as many (RFC 8446 section 5.1)."""


def make_small(protocol: asyncio.BaseProtocol) -> None:
    """Let a TLS protocol of asyncio's receive less at one time, 32 KiB for 256 KiB.

    That is what an idle session holds. Another loop's has a buffer of another kind, and stays as it
    is.
    """
    if isinstance(protocol, SSLProtocol):
        inside: Any = protocol
        inside.max_size = RECEIVED_AT_ONE_TIME
        inside._ssl_buffer = bytearray(RECEIVED_AT_ONE_TIME)
        inside._ssl_buffer_view = memoryview(inside._ssl_buffer)


def hand_over(octets: bytearray, protocol: asyncio.BaseProtocol) -> None:
    """Give a TLS protocol what was received before it was there."""
    receiver = cast(asyncio.BufferedProtocol, protocol)
    while octets:
        buffer = memoryview(receiver.get_buffer(len(octets)))
        count = min(len(octets), len(buffer))
        buffer[:count] = octets[:count]
        receiver.buffer_updated(count)
        del octets[:count]
