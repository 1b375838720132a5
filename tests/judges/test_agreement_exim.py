"""The columns of Exim, beside what the unpacked Exim does with the same receivers."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from e2e_ports import free_port
from e2e_relay import text_message
from judge_agreement import LEVELS, read_theirs
from judge_exim_client import exim_by_level
from judge_receivers import arrived, domain, receivers
from tls_authority import HOST
from tls_cases import WORLD

PROGRAM = Path(__file__).parents[2] / ".cache/exim/usr/sbin/exim4"
THEIRS = read_theirs()


@pytest.mark.judge("exim4", root=True)
async def test_exim_does_what_the_table_says() -> None:
    got: dict[tuple[str, str], str] = {}
    at_once = asyncio.Semaphore(4)
    async with receivers(THEIRS.exim) as peers:
        routes = {
            domain(number): (LEVELS[setting][1], peer.hop.port if peer else free_port())
            for number, ((_, setting), peer) in enumerate(peers.items())
        }
        ca = WORLD.root.pem.encode()
        with exim_by_level(PROGRAM, routes, host=HOST, ca=ca) as exim:

            async def ask(number: int) -> None:
                async with at_once:
                    to = f"someone@{domain(number)}"
                    ended = await exim.send(to, text_message(to, f"cell-{number}"))
                    assert ended.code == 0, ended.output

            async with asyncio.TaskGroup() as tasks:
                for number in range(len(routes)):
                    tasks.create_task(ask(number))
            log = exim.log
        for number, (cell, peer) in enumerate(peers.items()):
            got[cell] = arrived(peer, f"cell-{number}") if peer else "not"
            delivered = f"=> someone@{domain(number)} " in log
            assert delivered is (got[cell] != "not"), cell
    assert {cell: how for cell, how in got.items() if how not in allowed(THEIRS.exim[cell])} == {}


def allowed(outcome: str) -> set[str]:
    return {"clear", "not"} if outcome == "either" else {outcome}
