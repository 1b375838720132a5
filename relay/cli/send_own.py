"""A relay for one message: under a policy, with a lab, on free ports, gone afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from relay.cli.console import ExitCode, fail
from relay.cli.state import StateDir, passing_state

if TYPE_CHECKING:
    from relay.core.delivery import Policy

T = TypeVar("T")
_GRACE = timedelta(seconds=1)


def with_own_relay(name_or_path: str, work: Callable[[str, int, StateDir], T]) -> T:
    """Call `work` with host, port and state directory of a relay that runs until it returns.

    `name_or_path` is a policy as `relay serve --policy` takes it. Whatever keeps the relay from
    running ends the command.
    """
    from relay.cli.policy import open_policy

    policy = open_policy(name_or_path)
    with passing_state() as directory:
        return asyncio.run(_run(policy, StateDir(directory), work))


async def _run(policy: Policy, where: StateDir, work: Callable[[str, int, StateDir], T]) -> T:
    from relay.engine.relay import Relay, RelayOptions
    from relay.inbound.listeners import ListenerConfig, ListenerKind, ListenError
    from relay.journal.api import JournalError
    from relay.tls.trust import TrustError

    options = RelayOptions(
        listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
        journal=where.journal,
        bounce_lines=None,
        certificates=where.path / "certs",
        grace=_GRACE,
    )
    relay = Relay(policy, options)
    try:
        await relay.__aenter__()
    except (ListenError, JournalError, TrustError) as error:
        fail(f"no relay could be started: {error}", code=ExitCode.UNDETERMINED)
    try:
        endpoint = relay.endpoints[0]
        return await asyncio.to_thread(work, endpoint.host, endpoint.port, where)
    finally:
        await relay.__aexit__(None, None, None)
