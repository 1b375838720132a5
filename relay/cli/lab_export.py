"""`relay lab export` and `relay lab list --hosts`: the fixed ports of `relay lab serve`, told."""

from __future__ import annotations

from typing import Annotated

import typer

from relay.cli.console import fail
from relay.cli.lab_serve import AddressesOption, FixedPortOption, ListenOption, layout


def lab_export(
    *,
    target: Annotated[
        str,
        typer.Option(
            "--for", help="postfix, postfix-tls (verifies), exim, haraka, relaylab or hosts."
        ),
    ],
    listen: ListenOption = "127.0.0.1",
    base_port: FixedPortOption = 2600,
    addresses: AddressesOption = False,
) -> None:
    """Print what points another mail server at the lab.

    The lab is that of `relay lab serve`. Give the same options to both.
    """
    from relay.lab.exports import ExportFor, export

    known = [member.value for member in ExportFor]
    if target not in known:
        fail(f"there is no export for {target!r}", hint=f"--for takes: {', '.join(known)}.")
    for line in export(layout(listen, base_port, addresses=addresses), ExportFor(target)):
        typer.echo(line)


def print_hosts(names: list[str]) -> None:
    """Print `HOST ADDRESS PORT` for these scenarios, as `relay lab serve` places them."""
    from relay.lab.catalogue import SCENARIOS
    from relay.lab.layout import BASE_PORT, ports_from

    places = ports_from(BASE_PORT)
    for name in names:
        typer.echo(f"{SCENARIOS[name].host} {places[name].address} {places[name].port}")
