"""`relay lab serve`: every receiver and the lab's name server, without a relay, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, fail, print_json, say
from relay.cli.signals import Request, requests
from relay.cli.state import StateDir, StateOption
from relay.cli.web_port import (
    DEFAULT_PORT,
    HINT,
    LOOPBACK,
    ReadOnlyOption,
    WebHostOption,
    WebListenOption,
    WebOption,
    WebPort,
    WebPortOption,
    managed,
    web_lines,
    web_options,
)

if TYPE_CHECKING:
    from relay.core.jsonform import Json
    from relay.core.routing import HostAddress, NameServer
    from relay.web.binding import Bound

ListenOption = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Numeric address that the receivers listen on.")
]
BasePortOption = Annotated[
    int,
    typer.Option(
        min=0,
        max=65535,
        help="Port of the first receiver; the others follow in the order of `relay lab list`. "
        "0: any free ports.",
    ),
]
FixedPortOption = Annotated[
    int, typer.Option("--base-port", min=1, max=65535, help="As given to `relay lab serve`.")
]
AddressesOption = Annotated[
    bool,
    typer.Option(
        "--addresses",
        help="Port 2525 for all, and an address each, from 127.0.0.2 on: what MX records can say.",
    ),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """A lab that is ready; `lacking` says by scenario why one could not start."""

    root: str
    receivers: Mapping[str, HostAddress]
    lacking: Mapping[str, str]
    name_server: NameServer
    web: Bound | None
    web_lines: tuple[str, ...]


def lab_serve(
    *,
    listen: ListenOption = "127.0.0.1",
    base_port: BasePortOption = 2600,
    addresses: AddressesOption = False,
    dns_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the name server; 0: any free one.")
    ] = 5300,
    web: WebOption = True,
    web_port: WebPortOption = DEFAULT_PORT,
    web_listen: WebListenOption = LOOPBACK,
    web_host: WebHostOption = None,
    read_only: ReadOnlyOption = False,
    state: StateOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document once all are ready.")
    ] = False,
) -> None:
    """Start every receiver and a name server for lab.test, for any mail server to meet.

    Ctrl-C or SIGTERM ends them. `relay lab export` points Postfix or Exim at them.
    """
    from relay.lab.authority import AuthorityError
    from relay.lab.lab import LabPortError
    from relay.lab.name_server import NameServerError
    from relay.web.binding import WebListenError

    port = web_options(
        wanted=web, listen=web_listen, port=web_port, hosts=web_host, read_only=read_only
    )
    places = layout(listen, base_port, addresses=addresses)

    async def until_stopped() -> None:
        with requests() as asked:
            async with _running(places, listen, dns_port, port, StateDir.of(state)) as running:
                _print(running, as_json=as_json)
                while await asked.next() is not Request.STOP:
                    say("The lab has nothing to read again.", err=True)
                say("Stopping.", err=True)

    try:
        asyncio.run(until_stopped())
    except (LabPortError, NameServerError) as error:
        hint = "Choose other ports with --base-port and --dns-port (0 takes any free ones)."
        fail(str(error), hint=hint, code=ExitCode.UNDETERMINED)
    except WebListenError as error:
        fail(str(error), hint=HINT, code=ExitCode.UNDETERMINED)
    except (AuthorityError, OSError) as error:
        fail(str(error), code=ExitCode.UNDETERMINED)


def layout(listen: str, base_port: int, *, addresses: bool) -> Mapping[str, HostAddress]:
    """Return where the options place every receiver; end the command where they can't be."""
    from relay.lab.layout import own_addresses, ports_from

    try:
        ip_address(listen)
    except ValueError:
        fail(f"--listen takes a numeric address, not {listen!r}")
    if addresses:
        return own_addresses()
    try:
        return ports_from(base_port, listen=listen)
    except ValueError as error:
        fail(f"--base-port: {error}")


@contextlib.asynccontextmanager
async def _running(
    places: Mapping[str, HostAddress],
    listen: str,
    dns_port: int,
    port: WebPort | None,
    where: StateDir,
) -> AsyncIterator[_Running]:
    from datetime import UTC, datetime

    from relay.lab.authority import LabAuthority
    from relay.lab.lab import Lab, ScenarioUnavailable
    from relay.lab.name_server import LabNameServer
    from relay.lab.zone import lab_zone
    from relay.web.readiness import lab_readiness

    authority = LabAuthority(where.certificates)
    lab = Lab(
        authority,
        now=lambda: datetime.now(UTC),
        ports={name: place.port for name, place in places.items()},
        addresses={name: place.address for name, place in places.items()},
    )
    async with lab:
        receivers: dict[str, HostAddress] = {}
        lacking: dict[str, str] = {}
        for name in places:
            try:
                receivers[name] = await lab.address(name)
            except ScenarioUnavailable as error:
                lacking[name] = str(error)
        bound = port.open() if port else None
        async with (
            LabNameServer(lab_zone(receivers), bind=listen, port=dns_port) as names,
            managed(port, bound, lab, lab_readiness(lab, names.server)),
        ):
            yield _Running(
                root=str(authority.root_path),
                receivers=receivers,
                lacking=lacking,
                name_server=names.server,
                web=bound,
                web_lines=tuple(web_lines(port, bound)),
            )


def _print(running: _Running, *, as_json: bool) -> None:
    if as_json:
        print_json(_plain(running))
        return
    for line in _lines(running):
        say(line)


def _lines(running: _Running) -> list[str]:
    from relay.core.settings import TlsMode

    width = max(map(len, running.receivers))
    lines = [f"{'Scenario':{width}}  Listens on"]
    for name, where in running.receivers.items():
        note = "  TLS from the first octet" if where.mode is TlsMode.IMPLICIT else ""
        lines.append(f"{name:{width}}  {_socket(where.address, where.port)}{note}")
    lines += ["", *(f"not run: {why}" for why in running.lacking.values())]
    dns = running.name_server
    good = running.receivers["good"]
    good_socket = _socket(good.address, good.port)
    lines += [
        "Each takes mail for anyone@SCENARIO.lab.test. Ways to reach them:",
        f"  by hand      openssl s_client -starttls smtp -connect {good_socket}",
        f"  by DNS       dig @{dns.address} -p {dns.port} good.lab.test MX",
        f"               dig @{dns.address} -p {dns.port} null-mx.lab.test MX",
        "               and other domains about DNS: relay lab list --family dns",
        "  Postfix      relay lab export --for postfix",
        "  Exim         relay lab export --for exim",
        *(f"  {'' if at else 'over HTTP':<12} {line}" for at, line in enumerate(running.web_lines)),
        "Their certificates come from this root, for clients that verify:",
        f"  {running.root}",
        "",
        f"Ready: {len(running.receivers)} receivers, and the name server on {dns}. Ctrl-C stops.",
    ]
    return lines


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _plain(running: _Running) -> Json:
    from relay.lab.catalogue import SCENARIOS

    return {
        "lab_root": running.root,
        "name_server": {"address": running.name_server.address, "port": running.name_server.port},
        "web": running.web.url if running.web else None,
        "receivers": [
            {
                "scenario": name,
                "mail_domain": SCENARIOS[name].mail_domain,
                "host": SCENARIOS[name].host,
                "address": where.address,
                "port": where.port,
                "mode": where.mode.value,
            }
            for name, where in running.receivers.items()
        ],
        "not_run": [{"scenario": name, "reason": why} for name, why in running.lacking.items()],
    }
