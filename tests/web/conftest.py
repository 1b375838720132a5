"""Fixtures of the management port's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from relay_port import INLINE, QUEUED, Port, relay_port
from web_client import serving

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LabAuthority:
    return LabAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def lab(authority: LabAuthority) -> AsyncIterator[Lab]:
    async with Lab(authority, now=lambda: datetime.now(UTC)) as running:
        yield running


@pytest.fixture
async def client(lab: Lab) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(lab) as served:
        yield served


@pytest.fixture
async def port(tmp_path: Path, authority: LabAuthority) -> AsyncIterator[Port]:
    """A relay that answers with the outcome, and its port."""
    async with relay_port(tmp_path, authority, INLINE) as served:
        yield served


@pytest.fixture
async def queued_port(tmp_path: Path, authority: LabAuthority) -> AsyncIterator[Port]:
    """A relay that queues and tries again after an hour, and its port."""
    async with relay_port(tmp_path, authority, QUEUED) as served:
        yield served
