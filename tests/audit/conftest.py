"""Helpers that other rooms of the tests have already: a client by tlslite-ng, the command."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parents[1] / room) for room in ("lab", "e2e")]

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
