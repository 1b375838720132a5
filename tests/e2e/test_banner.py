"""The line that `relay serve` prints to paste: its message bounces, under every shipped policy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from e2e_relay import POLICIES, Start, Watcher

from relay.cli.banner import banner, bouncing_address
from relay.cli.state import StateDir
from relay.config.policy_file import load_policy

SHIPPED = sorted(path.stem for path in POLICIES.glob("*.yaml"))


@pytest.mark.parametrize("name", SHIPPED)
async def test_the_line_to_paste_bounces(start: Start, name: str) -> None:
    watcher = Watcher()
    async with start(name, observer=watcher) as running:
        await running.send(bouncing_address(running.relay.policy))
        await watcher.until(lambda: len(watcher.bounces) >= 1)
        assert watcher.bounces[0].status.code >= 400


def test_a_domain_that_the_policy_names_comes_first() -> None:
    policy = load_policy(POLICIES / "restricted-domains.yaml")
    assert bouncing_address(policy) == "anyone@sub.subdomains.com"


@pytest.mark.parametrize(
    ("number", "words"),
    [(1, ("1 more specific rule (", "1 route;")), (2, ("2 more specific rules (", "2 routes;"))],
)
async def test_what_is_counted_has_its_noun(
    start: Start, number: int, words: tuple[str, ...]
) -> None:
    domains = [f"to-{index}.test" for index in range(number)]
    policy = {
        "tls": "Preferred",
        "rules": [{"match": domain, "tls": "Required"} for domain in domains],
        "routes": [{"match": domain, "to": "lab/good"} for domain in domains],
    }
    async with start(json.dumps(policy)) as running:
        lines = "\n".join(banner(running.relay, StateDir.of(Path("state")), "relay"))
    for phrase in words:
        assert phrase in lines
