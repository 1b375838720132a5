"""The HTTP server of the management port: uvicorn, as a task of the program's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Self

import uvicorn
from starlette.types import ASGIApp

from relay.web.binding import Bound

GRACE: Final = timedelta(seconds=1)
"""How long a request in hand may take to end when the server closes."""

MAX_CONNECTIONS: Final = 100
"""Connections at a time, idle ones too; further ones are answered with 503.

Without a bound they could use up the file descriptors that mail needs.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebCertificate:
    """A certificate chain and its key, both PEM files, to speak HTTPS with."""

    chain: Path
    key: Path


class _Uvicorn(uvicorn.Server):
    """uvicorn that leaves signals to the program, and says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        self.ready.set()


class WebServer:
    """Serves `app` on a socket that listens; an asynchronous context manager.

    Entered, it answers. At its end no connection is left, whatever clients do: those that are idle
    are closed at once, the others after `grace`. The socket is closed with it. `certificate` is
    needed where HTTPS is spoken.
    """

    def __init__(
        self,
        app: ASGIApp,
        bound: Bound,
        *,
        grace: timedelta = GRACE,
        max_connections: int = MAX_CONNECTIONS,
        certificate: WebCertificate | None = None,
    ) -> None:
        if bound.tls is not (certificate is not None):
            raise ValueError("a certificate belongs to HTTPS, and only to it")
        self._bound = bound
        self._grace = grace.total_seconds()
        self._server = _Uvicorn(
            uvicorn.Config(
                app,
                http="h11",
                ws="none",
                lifespan="off",
                access_log=False,
                log_config=None,
                log_level="error",
                server_header=False,
                proxy_headers=False,
                ssl_certfile=certificate.chain if certificate else None,
                ssl_keyfile=certificate.key if certificate else None,
                # uvicorn counts the connection that asks as well.
                limit_concurrency=max_connections + 1,
            )
        )
        self._task: asyncio.Task[None]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._server.serve([self._bound.socket]), name="web")
        ready = loop.create_task(self._server.ready.wait())
        try:
            await asyncio.wait({self._task, ready}, return_when=asyncio.FIRST_COMPLETED)
        except BaseException:
            self._task.cancel()
            raise
        finally:
            ready.cancel()
        if self._task.done():
            self._task.result()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._server.should_exit = True
        await asyncio.wait({self._task}, timeout=self._grace)
        # A client that never reads, or a route that waits for one, would hold the server for ever.
        for connection in self._server.server_state.connections:
            connection.transport.abort()
        await asyncio.wait({self._task}, timeout=self._grace)
        for task in (*self._server.server_state.tasks, self._task):
            task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
