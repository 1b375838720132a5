"""The line that `relay serve` prints to paste: its message bounces, under every shipped policy."""

from __future__ import annotations

import pytest
from e2e_relay import POLICIES, Start, Watcher

from relay.cli.banner import bouncing_address
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
