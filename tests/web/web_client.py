"""A management port in process, over real sockets, and clients of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import httpx

from relay.core.routing import HostAddress
from relay.lab.lab import Lab
from relay.web.app import management_app
from relay.web.binding import bind
from relay.web.readiness import Readiness, lab_readiness
from relay.web.safety import Access
from relay.web.server import WebServer


@contextlib.asynccontextmanager
async def serving(
    lab: Lab, access: Access | None = None, *, readiness: Readiness | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """Serve the lab's routes on a free port; yield a client whose base is that port."""
    bound = bind("127.0.0.1", 0)
    app = management_app(
        lab,
        readiness=readiness or lab_readiness(lab),
        access=access or Access(),
        bound=bound.host,
    )
    async with (
        WebServer(app, bound),
        httpx.AsyncClient(base_url=bound.url, trust_env=False, timeout=20) as client,
    ):
        yield client


async def deliver(host: HostAddress, *contents: bytes) -> None:
    """Send messages in clear text, in one session; return when the receiver has closed it."""
    reader, writer = await asyncio.open_connection(host.address, host.port)
    commands = [b"HELO me.test\r\n"]
    for content in contents:
        commands += [
            b"MAIL FROM:<a@me.test>\r\nRCPT TO:<b@lab.test>\r\nDATA\r\n",
            content,
            b".\r\n",
        ]
    writer.write(b"".join(commands) + b"QUIT\r\n")
    said = await reader.read()
    assert said.count(b"\r\n250 ") == 1 + 3 * len(contents), said
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def hear(url: httpx.URL, octets: bytes) -> bytes:
    """Send octets as they are; return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(octets)
    answer = await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return answer


def lines(*parts: str, body: Sequence[bytes] = ()) -> bytes:
    """Return a request's head and body as octets."""
    return "\r\n".join((*parts, "", "")).encode() + b"".join(body)
