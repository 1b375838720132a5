"""Fixtures of the management port's tests."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from web_client import serving

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab

sys.path.append(str(Path(__file__).parents[1] / "e2e"))  # the helpers that start commands


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
