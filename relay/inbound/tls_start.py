"""TLS on a connection that stands, with less memory than asyncio gives to it."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from typing import Any, Final, cast

RECEIVED_AT_ONE_TIME: Final = 32_768
"""Octets; a TLS record has half as many (RFC 8446 section 5.1)."""


class _SmallTls(SSLProtocol):
    """The TLS of asyncio, which by itself has 256 KiB in readiness for each connection."""

    max_size = RECEIVED_AT_ONE_TIME


async def start_tls(
    wire: asyncio.Transport,
    session: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    early: bytearray,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Shake hands as a server, and return the transport that `session` goes on with.

    `early` is what of the handshake was received already; nothing is read for `session` from the
    call on. Raises OSError as the loop's `start_tls` does.
    """
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        # Runs when the loop has put its protocol there, and before that begins.
        loop.call_soon(lambda: _hand_over(early, wire.get_protocol()))
        secured = await loop.start_tls(
            wire, session, context, server_side=True, ssl_handshake_timeout=handshake_seconds
        )
        if secured is None:
            raise ConnectionResetError
        return secured
    shaken = loop.create_future()
    # Typeshed has less of it than there is.
    make: Any = _SmallTls
    protocol = make(
        loop,
        session,
        context,
        shaken,
        server_side=True,
        call_connection_made=False,
        ssl_handshake_timeout=handshake_seconds,
    )
    wire.pause_reading()
    wire.set_protocol(protocol)
    _hand_over(early, protocol)
    protocol.connection_made(wire)
    wire.resume_reading()
    try:
        await shaken
    except BaseException:
        wire.close()
        raise
    return cast(asyncio.Transport, protocol._get_app_transport())


def _hand_over(octets: bytearray, protocol: asyncio.BaseProtocol) -> None:
    """Give a TLS protocol what was received before it was there."""
    receiver = cast(asyncio.BufferedProtocol, protocol)
    while octets:
        buffer = memoryview(receiver.get_buffer(len(octets)))
        count = min(len(octets), len(buffer))
        buffer[:count] = octets[:count]
        receiver.buffer_updated(count)
        del octets[:count]
