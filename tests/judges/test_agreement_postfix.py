"""The columns of Postfix, beside what the installed Postfix does with the same receivers."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict

import pytest
from e2e_ports import free_port
from e2e_relay import text_message
from judge_agreement import LEVELS, read_theirs
from judge_postfix_client import PostfixClient, postfix_by_level
from judge_receivers import arrived, domain, receivers
from tls_authority import HOST
from tls_cases import WORLD

THEIRS = read_theirs()
TRIES = 3
"""A message that was deferred so often is one that Postfix does not deliver."""


def statuses(postfix: PostfixClient) -> dict[str, list[str]]:
    """Return what Postfix logged of each recipient's domain, try by try."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for to, status in re.findall(r"to=<\S+@(\S+)>,.* status=(\w+)", postfix.log):
        found[to].append(status)
    return found


def settled(tries: list[str]) -> bool:
    return len(tries) >= TRIES or bool({"sent", "bounced"} & set(tries))


@pytest.mark.judge("postfix", root=True)
async def test_postfix_does_what_the_table_says() -> None:
    cells = list(THEIRS.postfix)
    async with receivers(cells) as peers:
        routes = {
            domain(number): (LEVELS[setting][0], peer.hop.port if peer else free_port())
            for number, ((_, setting), peer) in enumerate(peers.items())
        }
        async with postfix_by_level(routes, host=HOST, ca=WORLD.root.pem.encode()) as postfix:
            for number, to in enumerate(routes):
                await postfix.submit(f"someone@{to}", text_message(f"x@{to}", f"cell-{number}"))
            async with asyncio.timeout(90):
                while not all(settled(statuses(postfix)[to]) for to in routes):
                    await asyncio.sleep(0.2)
            tries = statuses(postfix)
        got = {}
        for number, (cell, peer) in enumerate(peers.items()):
            how = arrived(peer, f"cell-{number}") if peer else "not"
            deferred_first = tries[domain(number)][0] == "deferred"
            assert (how != "not") is ("sent" in tries[domain(number)]), cell
            got[cell] = "later" if how == "clear" and deferred_first else how
    assert {cell: how for cell, how in got.items() if how != THEIRS.postfix[cell]} == {}
