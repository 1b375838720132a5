"""TLS on a connection that stands, at either end, for less work and memory than asyncio takes.

uvloop's own way of doing that costs little, and is taken as it is.
"""

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


async def accept_tls(
    wire: asyncio.Transport,
    session: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    early: bytearray,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Shake hands as a server, and return the transport that `session` goes on with.

    `early` is what of the handshake was received already; nothing is read for `session` from the
    call on. Raises OSError as the loop's `start_tls` does, ConnectionResetError where the
    connection was closed.
    """
    return await _start(
        wire, session, context, server_name=None, early=early, handshake_seconds=handshake_seconds
    )


async def begin_tls(
    wire: asyncio.Transport,
    session: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_name: str,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Shake hands as a client of `server_name`; else as `accept_tls`."""
    return await _start(
        wire,
        session,
        context,
        server_name=server_name,
        early=bytearray(),
        handshake_seconds=handshake_seconds,
    )


async def _start(
    wire: asyncio.Transport,
    session: asyncio.Protocol,
    context: ssl.SSLContext,
    *,
    server_name: str | None,
    early: bytearray,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Shake hands with the server of that name, or as a server where it is None."""
    loop = asyncio.get_running_loop()
    if not isinstance(loop, asyncio.BaseEventLoop):
        if early:
            # Runs when the loop has put its protocol there, and before that begins.
            loop.call_soon(lambda: _hand_over(early, wire.get_protocol()))
        secured = await loop.start_tls(
            wire,
            session,
            context,
            server_side=server_name is None,
            server_hostname=server_name,
            ssl_handshake_timeout=handshake_seconds,
        )
        return _standing(secured)
    shaken = loop.create_future()
    # Typeshed has less of it than there is.
    make: Any = _SmallTls
    protocol = make(
        loop,
        session,
        context,
        shaken,
        server_side=server_name is None,
        server_hostname=server_name,
        call_connection_made=False,
        ssl_handshake_timeout=handshake_seconds,
    )
    # Nothing can be received in between: the loop, which begins in a callback of its own, has to
    # hold up the reading meanwhile.
    wire.set_protocol(protocol)
    _hand_over(early, protocol)
    protocol.connection_made(wire)
    wire.resume_reading()
    try:
        await shaken
    except BaseException:
        wire.close()
        raise
    return _standing(protocol._app_transport)


def _standing(secured: asyncio.Transport | None) -> asyncio.Transport:
    """Return the transport; raise where the connection was lost right behind the handshake."""
    if secured is None:
        raise ConnectionResetError("the connection was closed during the handshake")
    return secured


def _hand_over(octets: bytearray, protocol: asyncio.BaseProtocol) -> None:
    """Give a TLS protocol what was received before it was there."""
    receiver = cast(asyncio.BufferedProtocol, protocol)
    while octets:
        buffer = memoryview(receiver.get_buffer(len(octets)))
        count = min(len(octets), len(buffer))
        buffer[:count] = octets[:count]
        receiver.buffer_updated(count)
        del octets[:count]
