"""Helpers that another room of the tests has already: a client by tlslite-ng."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "lab"))

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
