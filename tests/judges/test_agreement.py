"""Deliver or not, cell by cell, beside Postfix, Exim and OpenSSL; every difference is listed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from e2e_ports import free_port
from e2e_relay import Running, Start
from judge_agreement import (
    LEVELS,
    PAGE,
    in_the_end,
    read_deviations,
    read_theirs,
    render_page,
)
from judge_receivers import RECEIVERS, Cell, arrived, domain, receivers
from outbound_peer import Peer
from tls_authority import HOST
from tls_cases import WORLD

from relay.core.settings import TlsSetting

THEIRS = read_theirs()
DEVIATIONS = read_deviations()
SECONDS_FOR_A_STEP = 6
"""Longer than any step but that of a receiver which falls silent."""


def policy(peers: Mapping[Cell, Peer | None], directory: Path, **more: str) -> str:
    """Return a policy with a rule and a route for each cell, `more` in every rule; JSON is YAML."""
    root = directory / "roots.pem"
    root.write_text(WORLD.root.pem + WORLD.rsa_root.pem)
    rules: list[dict[str, Any]] = []
    routes: list[dict[str, str]] = []
    for number, ((case, setting), peer) in enumerate(peers.items()):
        receiver = RECEIVERS[case]
        rule: dict[str, Any] = {
            "match": domain(number),
            "tls": setting.value,
            **receiver.rule,
            **more,
        }
        if receiver.crls:
            file = directory / f"{case}.crl"
            file.write_text("".join(receiver.crls))
            rule["crl"] = [str(file)]
        rules.append(rule)
        port = peer.hop.port if peer else free_port()
        routes.append({"match": domain(number), "to": f"smtp://{receiver.host}:{port}"})
    return json.dumps(
        {
            "tls": "Required Verify",
            "trust": [str(root)],
            "rules": rules,
            "routes": routes,
            "command_timeout": f"{SECONDS_FOR_A_STEP}s",
        }
    )


@pytest.fixture
def host_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the system's resolver know the receivers' host, which no DNS has."""
    real: Callable[..., Any] = socket.getaddrinfo

    def getaddrinfo(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        here = isinstance(name, str) and name.lower().removesuffix(".") == HOST
        return real("127.0.0.1" if here else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


async def outcome(running: Running, number: int, cell: Cell, peer: Peer | None) -> str:
    """Send to one receiver; return what it got."""
    mark = f"cell-{number}"
    reply = await running.send(f"someone@{domain(number)}", mark=mark)
    if peer is None:
        assert not reply.positive
        return "not"
    await peer.settled()
    got = arrived(peer, mark)
    assert reply.positive is (got != "not"), (cell, reply)
    verbs = {verb for conversation in peer.conversations for verb in conversation.verbs}
    if got == "not" and cell[0] != "m-rcpt550":
        assert verbs <= {"EHLO", "STARTTLS", "QUIT"}, cell
    return got


@pytest.mark.usefixtures("host_is_here")
async def test_every_difference_is_listed_and_every_listed_one_is_there(
    start: Start, tmp_path: Path
) -> None:
    at_once = asyncio.Semaphore(6)
    got: dict[Cell, str] = {}
    async with receivers(THEIRS.cells) as peers, start(policy(peers, tmp_path)) as running:

        async def ask(number: int, cell: Cell, peer: Peer | None) -> None:
            async with at_once:
                got[cell] = await outcome(running, number, cell, peer)

        async with asyncio.TaskGroup() as tasks:
            for number, (cell, peer) in enumerate(peers.items()):
                tasks.create_task(ask(number, cell, peer))
    there = {
        " | ".join((*named(cell), ours, THEIRS.words(cell)))
        for cell, ours in got.items()
        if ours != THEIRS.wanted(cell)
    }
    listed = {" | ".join((*named(cell), d.ours, d.theirs)) for cell, d in DEVIATIONS.items()}
    assert "\n".join(sorted(there - listed)) == "", "differences that deviations.txt lacks"
    assert "\n".join(sorted(listed - there)) == "", "entries of deviations.txt without use"


@pytest.mark.usefixtures("host_is_here")
@pytest.mark.parametrize(
    ("case", "setting", "switch"),
    [
        ("cnonly", TlsSetting.REQUIRED_VERIFY, {"common_name": "fallback"}),
        ("tls11only", TlsSetting.PREFERRED, {"minimum_tls": "1.0"}),
        ("tls11only", TlsSetting.REQUIRED, {"minimum_tls": "1.0"}),
    ],
)
async def test_with_the_switch_that_the_list_names_we_agree(
    start: Start, tmp_path: Path, case: str, setting: TlsSetting, switch: dict[str, str]
) -> None:
    cell = (case, setting)
    (key,) = switch
    assert f"`{key}: " in DEVIATIONS[cell].why
    make = RECEIVERS[case].peer
    assert make is not None
    async with (
        make().running() as peer,
        start(policy({cell: peer}, tmp_path, **switch)) as running,
    ):
        assert await outcome(running, 0, cell, peer) == THEIRS.wanted(cell)


def named(cell: Cell) -> tuple[str, str]:
    case, setting = cell
    return case, setting.value


def test_the_table_has_every_receiver_and_every_level() -> None:
    assert {case for case, _ in THEIRS.cells} == set(RECEIVERS)
    assert set(THEIRS.postfix) == set(THEIRS.exim)
    assert {setting for _, setting in THEIRS.postfix} == set(LEVELS)
    for outcome in (*THEIRS.postfix.values(), *THEIRS.exim.values()):
        in_the_end(outcome)


def test_where_postfix_and_exim_agree_a_difference_is_one_from_both() -> None:
    """So that a reader of the list sees at once which differences are ours alone."""
    for cell in DEVIATIONS.keys() & THEIRS.postfix.keys():
        assert DEVIATIONS[cell].theirs == THEIRS.words(cell)
        assert DEVIATIONS[cell].why


def test_the_page_is_current() -> None:
    """`RELAYLAB_WRITE_DOCS=1` writes it."""
    page = render_page(THEIRS, DEVIATIONS)
    if os.environ.get("RELAYLAB_WRITE_DOCS"):
        PAGE.write_text(page)
    assert PAGE.read_text() == page
