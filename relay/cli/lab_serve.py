"""`relay lab serve`: every receiver and the lab's name server, without a relay, until a signal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, fail, print_json, say
from relay.cli.lab_own import NAME as OWN
from relay.cli.lab_own import (
    OwnCertOption,
    OwnChainOption,
    OwnKeyOption,
    OwnReceiver,
    open_own,
    own_lines,
    own_plain,
    start_own,
)
from relay.cli.lab_scripts import ScriptOption, open_scripts, plain, read_again, told
from relay.cli.signals import Request, requests
from relay.cli.state import ELSEWHERE, StateDir, StateOption
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
    from relay.core.fault_scripts import FaultScript
    from relay.core.jsonform import Json
    from relay.core.routing import HostAddress, NameServer
    from relay.lab.lab import Lab
    from relay.lab.own_certificate import OwnCertificate
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

    lab: Lab
    own: OwnReceiver | None
    root: str
    receivers: Mapping[str, HostAddress]
    lacking: Mapping[str, str]
    name_server: NameServer
    web: Bound | None
    web_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What the options ask for; `own_place` is the address and port of the receiver `own`."""

    places: Mapping[str, HostAddress]
    listen: str
    own_place: tuple[str, int]
    dns_port: int
    web: WebPort | None
    scripts: tuple[FaultScript, ...]
    own: OwnCertificate | None
    state: StateDir


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
    script: ScriptOption = None,
    cert: OwnCertOption = None,
    key: OwnKeyOption = None,
    chain: OwnChainOption = None,
    state: StateOption = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document once all are ready.")
    ] = False,
) -> None:
    """Start every receiver and a name server for lab.test.

    Any mail server may meet them. Ctrl-C or SIGTERM ends them; SIGHUP reads the fault scripts
    again. `relay lab export` points other mail servers at them.
    """
    from relay.lab.authority import AuthorityError
    from relay.lab.lab import LabPortError
    from relay.lab.layout import COMMON_PORT
    from relay.lab.name_server import NameServerError
    from relay.web.binding import WebListenError

    port = web_options(
        wanted=web, listen=web_listen, port=web_port, hosts=web_host, read_only=read_only
    )
    places = layout(listen, base_port, addresses=addresses)
    wanted = _Wanted(
        places=places,
        listen=listen,
        own_place=("127.0.0.1", COMMON_PORT) if addresses else (listen, max(base_port - 1, 0)),
        dns_port=dns_port,
        web=port,
        scripts=open_scripts(script, *((OWN,) if cert else ())),
        own=open_own(cert, key, chain),
        state=StateDir.of(state),
    )

    async def until_stopped() -> None:
        with requests() as asked:
            async with _running(wanted) as running:
                _print(running, as_json=as_json)
                while await asked.next() is not Request.STOP:
                    await _read_again(running, script)
                say("Stopping.", err=True)

    try:
        asyncio.run(until_stopped())
    except (LabPortError, NameServerError) as error:
        hint = "Choose other ports with --base-port and --dns-port (0 takes any free ones)."
        fail(str(error), hint=hint, code=ExitCode.UNDETERMINED)
    except WebListenError as error:
        fail(str(error), hint=HINT, code=ExitCode.UNDETERMINED)
    except AuthorityError as error:
        fail(str(error), hint=ELSEWHERE, code=ExitCode.UNDETERMINED)
    except OSError as error:
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


async def _read_again(running: _Running, script: Path | None) -> None:
    if script is None:
        say("There is nothing to read again: no --script was given.", err=True)
        return
    reload = await read_again(running.lab, script, *((OWN,) if running.own else ()))
    for line in reload.lines:
        say(line, err=True)


@contextlib.asynccontextmanager
async def _running(wanted: _Wanted) -> AsyncIterator[_Running]:
    from datetime import UTC, datetime

    from relay.lab.authority import LabAuthority
    from relay.lab.lab import Lab, ScenarioUnavailable
    from relay.lab.name_server import LabNameServer
    from relay.lab.zone import lab_zone
    from relay.web.readiness import lab_readiness

    places, port = wanted.places, wanted.web
    own_address, own_port = wanted.own_place
    authority = LabAuthority(wanted.state.certificates)
    lab = Lab(
        authority,
        now=lambda: datetime.now(UTC),
        ports={OWN: own_port, **{name: place.port for name, place in places.items()}},
        addresses={OWN: own_address, **{name: p.address for name, p in places.items()}},
    )
    async with lab:
        receivers: dict[str, HostAddress] = {}
        lacking: dict[str, str] = {}
        for name in places:
            try:
                receivers[name] = await lab.address(name)
            except ScenarioUnavailable as error:
                lacking[name] = str(error)
        own = await start_own(lab, wanted.own) if wanted.own else None
        lab.load_scripts(wanted.scripts)
        zone = {**lab_zone(receivers), **(own.records if own else {})}
        bound = port.open() if port else None
        async with (
            LabNameServer(zone, bind=wanted.listen, port=wanted.dns_port) as names,
            managed(port, bound, lab, lab_readiness(lab, names.server)),
        ):
            yield _Running(
                lab=lab,
                own=own,
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
        "  Haraka       relay lab export --for haraka",
        "  Relaylab     relay lab export --for relaylab",
        *(f"  {'' if at else 'over HTTP':<12} {line}" for at, line in enumerate(running.web_lines)),
        "Their certificates come from this root, for clients that verify:",
        f"  {running.root}",
        "",
        *(own_lines(running.own, _own_socket(running.own)) if running.own else ()),
        *told(running.lab.scripts),
        *([""] if running.own or running.lab.scripts else ()),
        f"Ready: {len(running.receivers)} receivers, and the name server on {dns}. Ctrl-C stops.",
    ]
    return lines


def _own_socket(own: OwnReceiver) -> str:
    return _socket(own.where.address, own.where.port)


def _socket(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _plain(running: _Running) -> Json:
    from relay.lab.catalogue import SCENARIOS

    return {
        "lab_root": running.root,
        "name_server": {"address": running.name_server.address, "port": running.name_server.port},
        "web": running.web.url if running.web else None,
        "fault_scripts": plain(running.lab.scripts),
        "own_certificate": own_plain(running.own),
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
