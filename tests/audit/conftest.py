"""Fixtures of the tests of demo, check, prove and what-if."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("certs")
    LabAuthority(directory)
    return directory


@pytest.fixture
async def lab(certificates: Path) -> AsyncIterator[Lab]:
    async with Lab(LabAuthority(certificates), now=lambda: datetime.now(UTC)) as running:
        yield running
