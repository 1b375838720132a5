"""Fixtures that start a relay in process; a conftest.py imports those that its tests need."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from e2e_relay import POLICIES, Running, Start

from relay.config.policy_file import load_policy, load_policy_text
from relay.core.clock import Clock
from relay.core.delivery import Policy
from relay.engine.observing import Observer
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.journal.pruning import Keep
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.notice.options import NoticeOptions


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    LabAuthority(directory)
    return directory


@pytest.fixture
def start(tmp_path: Path, certificates: Path) -> Start:
    """Return a function that starts a relay under a policy: text, a shipped name, or a Policy."""

    @contextlib.asynccontextmanager
    async def running(
        policy: str | Policy,
        *,
        kinds: tuple[ListenerKind, ...] = (ListenerKind.SMTP,),
        clock: Clock | None = None,
        allow_external: bool = False,
        observer: Observer | None = None,
        seed: int = 1,
        notices: NoticeOptions | None = None,
        keep: Keep | None = None,
    ) -> AsyncIterator[Running]:
        if isinstance(policy, str):
            shipped = POLICIES / f"{policy}.yaml"
            one_line = "\n" not in policy and ":" not in policy
            policy = (
                load_policy(shipped) if one_line else load_policy_text(policy, name="test.yaml")
            )
        options = RelayOptions(
            listeners=tuple(ListenerConfig(kind=k, host="127.0.0.1", port=0) for k in kinds),
            journal=tmp_path / "journal.sqlite3",
            bounce_lines=tmp_path / "bounces.jsonl",
            certificates=certificates,
            allow_external=allow_external,
            seed=seed,
            notices=notices,
            keep=keep or Keep(),
        )
        authority = LabAuthority(certificates)
        async with (
            Lab(authority, now=lambda: datetime.now(UTC)) as lab,
            Relay(policy, options, lab=lab, clock=clock, observer=observer) as relay,
        ):
            yield Running(relay=relay, lab=lab, state=tmp_path)

    return running
