"""The management port of the commands that serve: its options, and its life beside theirs."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli.console import fail
from relay.cli.loading import loading

if TYPE_CHECKING:
    from relay.lab.lab import Lab
    from relay.web.binding import Bound
    from relay.web.readiness import Readiness
    from relay.web.served import ServedRelay

TOKEN: Final = "RELAY_WEB_TOKEN"  # noqa: S105 - a variable's name
"""The environment variable with the token; a flag would show it to every user of the machine."""
DEFAULT_PORT: Final = 8025
LOOPBACK: Final = "127.0.0.1"
HINT: Final = "Choose another port with --web-port (0 takes any free one), or none: --no-web."

WebOption = Annotated[
    bool,
    typer.Option("--web/--no-web", envvar="RELAY_WEB", help="Whether to open a management port."),
]
WebPortOption = Annotated[
    int,
    typer.Option(envvar="RELAY_WEB_PORT", min=0, max=65535, help="Management port, over HTTP."),
]
WebListenOption = Annotated[
    str,
    typer.Option(
        envvar="RELAY_WEB_LISTEN",
        metavar="ADDRESS",
        help="Address of the management port, whatever --listen says.",
    ),
]
WebHostOption = Annotated[
    list[str] | None,
    typer.Option(
        envvar="RELAY_WEB_HOST",
        metavar="NAME",
        help="A host name that clients may call the management port by, besides localhost; "
        "may be repeated.",
        show_default=False,
    ),
]
ReadOnlyOption = Annotated[
    bool,
    typer.Option(
        "--read-only", envvar="RELAY_READ_ONLY", help="Let nobody change anything over HTTP."
    ),
]

WebTlsOption = Annotated[
    bool,
    typer.Option(
        "--web-tls",
        envvar="RELAY_WEB_TLS",
        help="Speak HTTPS on the management port, with the relay's own certificate.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPort:
    """What the options ask for; `token` comes from the environment."""

    listen: str
    port: int
    hosts: tuple[str, ...]
    read_only: bool
    token: str | None = field(repr=False)
    tls: bool = False

    @property
    def open_to_strangers(self) -> bool:
        """Whether other machines reach it and need no token."""
        if self.token is not None or self.listen == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.listen).is_loopback
        except ValueError:
            return True

    def open(self) -> Bound:
        """Listen, so that clients may connect; raise WebListenError."""
        from relay.web.binding import bind

        return bind(self.listen, self.port, tls=self.tls)


def web_options(
    *,
    wanted: bool,
    listen: str,
    port: int,
    hosts: list[str] | None,
    read_only: bool,
    tls: bool = False,
) -> WebPort | None:
    """Return what the options ask for, None for no port; end the command if they make no sense."""
    if not wanted:
        return None
    token = os.environ.get(TOKEN)
    if token is not None and not token.strip():
        fail(f"{TOKEN} is set and empty", hint="Give it a value, or unset it to need no token.")
    return WebPort(
        listen=listen,
        port=port,
        hosts=tuple(hosts or ()),
        read_only=read_only,
        token=token,
        tls=tls,
    )


def web_lines(port: WebPort | None, bound: Bound | None, *, pages: bool = False) -> list[str]:
    """Return what to say of the management port: its address, and who may use it.

    `pages`: it has pages for people besides the API.
    """
    if port is None or bound is None:
        return []
    public = f"other machines may use it, and need no token: set {TOKEN}"
    address = f"{bound.url}/ (pages; the API: /api/v1)" if pages else f"{bound.url}/api/v1"
    return [address, *([public] if port.open_to_strangers else [])]


@contextlib.asynccontextmanager
async def managed(
    wanted: WebPort | None,
    bound: Bound | None,
    lab: Lab,
    readiness: Readiness,
    *,
    served: ServedRelay | None = None,
    after: asyncio.Task[None] | None = None,
) -> AsyncIterator[None]:
    """Serve on the socket that `wanted` opened, as long as it is entered.

    It answers a moment later, for the web libraries are loaded meanwhile, behind `after`, which is
    cancelled if it still runs in the end; None is for no port. `served` is the relay, None for a
    lab alone.
    """
    if wanted is None or bound is None:
        yield
        return
    over = asyncio.Event()
    serving = asyncio.get_running_loop().create_task(
        _serve(wanted, bound, lab, readiness, served=served, after=after, over=over)
    )
    try:
        yield
    finally:
        over.set()
        if after is not None:
            after.cancel()
        await serving


async def _serve(
    wanted: WebPort,
    bound: Bound,
    lab: Lab,
    readiness: Readiness,
    *,
    served: ServedRelay | None,
    after: asyncio.Task[None] | None,
    over: asyncio.Event,
) -> None:
    if after is not None:
        # Two threads that load at the same time only hold each other up.
        await asyncio.wait((after,))
    if over.is_set():
        return
    with loading():
        # Half a second of imports, which would hold up the mail that comes meanwhile.
        await asyncio.to_thread(_load)
        from relay.web.app import management_app
        from relay.web.safety import Access
        from relay.web.server import WebCertificate, WebServer

        access = Access(names=wanted.hosts, token=wanted.token, read_only=wanted.read_only)
        app = management_app(
            lab, readiness=readiness, access=access, bound=bound.host, served=served
        )
    certificate = None
    if wanted.tls and served is not None:
        own = served.relay.server_certificate
        certificate = WebCertificate(chain=own.chain, key=own.key)
    async with WebServer(app, bound, certificate=certificate):
        await over.wait()
        if served is not None:
            # A client of the event stream would hold the server up to the end of its grace.
            served.live.close()


def _load() -> None:
    import relay.web.app
    import relay.web.server  # noqa: F401
