from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> LabAuthority:
    return LabAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
async def lab(authority: LabAuthority) -> AsyncIterator[Lab]:
    async with Lab(authority, now=lambda: datetime.now(UTC)) as running:
        yield running
