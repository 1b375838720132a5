"""TLS as a client on a connection that stands, its arithmetic done beside the event loop.

A verified handshake is about a millisecond of signatures and certificates, nearly all of it in
OpenSSL, which needs no interpreter's lock meanwhile: a thread does that on another processor.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from asyncio.sslproto import SSLAgainErrors, SSLProtocol
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final, cast

RECEIVED_AT_ONE_TIME: Final = 32_768
"""Octets; a TLS record has half as many (RFC 8446 section 5.1)."""

_work: Final[SimpleQueue[Callable[[], None]]] = SimpleQueue()


@cache
def _start_workers() -> None:
    """Start the threads, once; an executor's futures would cost a fifth of what the threads save.

    More than the processors have time for would only take it from the loop.
    """
    for number in range(max((os.cpu_count() or 1) - 1, 1)):
        Thread(target=_work_off, name=f"tls-handshake-{number}", daemon=True).start()


def _work_off() -> None:
    while True:
        _work.get()()


class _ThreadedTls(SSLProtocol):
    """The TLS of asyncio, with a handshake that does not hold the loop up.

    While a thread is at work, the TLS object and its buffers are the thread's alone: nothing is
    read from the wire, and its end is told behind the work. What whoever waits for the handshake
    writes at once goes out together with the end of it.
    """

    max_size = RECEIVED_AT_ONE_TIME
    # Typeshed has less of these than there is.
    _sslobj: ssl.SSLObject
    _transport: Any
    _at_work = False
    _holds_back = False
    _ended: tuple[BaseException | None] | None = None

    def _do_handshake(self) -> None:
        self._transport.pause_reading()
        self._at_work = True
        _start_workers()
        _work.put(self._compute)

    def _compute(self) -> None:
        outcome: Exception | None = None
        try:
            self._sslobj.do_handshake()
        except Exception as error:
            outcome = error
        # A loop that is closed by now has nobody left who waits.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._worked, outcome)

    def _worked(self, outcome: Exception | None) -> None:
        self._at_work = False
        if self._ended is not None:
            super().connection_lost(*self._ended)
            return
        self._transport.resume_reading()
        if isinstance(outcome, SSLAgainErrors):
            self._process_outgoing()
            return
        self._holds_back = outcome is None
        self._on_handshake_complete(outcome)
        self._holds_back = False
        # Whoever waits was woken in there, and so has the loop's next turn before this has.
        self._loop.call_soon(self._process_outgoing)

    def _process_outgoing(self) -> None:
        if not self._holds_back:
            super()._process_outgoing()  # type: ignore[misc]  # it is not in typeshed

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._at_work:
            self._ended = (exc,)
        else:
            super().connection_lost(exc)


async def start_tls(
    wire: asyncio.Transport,
    session: asyncio.BaseProtocol,
    context: ssl.SSLContext,
    *,
    server_name: str,
    handshake_seconds: float,
) -> asyncio.Transport:
    """Shake hands with `server_name`, and return the transport that `session` goes on with.

    Raises OSError as the loop's `start_tls` does: ssl.SSLError for what TLS objects to,
    ConnectionAbortedError for a handshake that takes too long, ConnectionError for a lost
    connection.
    """
    loop = asyncio.get_running_loop()
    secured: asyncio.Transport | None
    if not isinstance(loop, asyncio.BaseEventLoop):
        secured = await loop.start_tls(
            wire,
            session,
            context,
            server_hostname=server_name,
            ssl_handshake_timeout=handshake_seconds,
        )
    else:
        shaken = loop.create_future()
        # Typeshed has less of it than there is.
        make: Any = _ThreadedTls
        protocol = make(
            loop,
            session,
            context,
            shaken,
            server_hostname=server_name,
            call_connection_made=False,
            ssl_handshake_timeout=handshake_seconds,
        )
        wire.set_protocol(protocol)
        protocol.connection_made(wire)
        try:
            await shaken
        except BaseException:
            wire.close()
            raise
        secured = cast("asyncio.Transport | None", protocol._app_transport)
    if secured is None:
        raise ConnectionResetError("the connection was closed during the handshake")
    return secured
