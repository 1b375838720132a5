"""The table of docs/proof.md, beside what a proof finds out about real relays."""

from __future__ import annotations

from pathlib import Path

import pytest
from judge_prove import OURS, RELAYS, cells, evidence

from relay.core.settings import TlsSetting

PAGE = Path(__file__).parents[2] / "docs/proof.md"


def table() -> dict[str, dict[TlsSetting, str]]:
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text().partition("## Real relays")[2].splitlines()
        if line.startswith("| ")
    ]
    claims = list(TlsSetting)[1:]
    assert rows[0] == ["relay", *(claim.label for claim in claims)]
    return {name: dict(zip(claims, found, strict=True)) for name, *found in rows[1:]}


def test_the_table_has_every_relay() -> None:
    assert list(table()) == [*RELAYS, *OURS]


@pytest.mark.judge("postfix", root=True)
@pytest.mark.parametrize("relay", [name for name in RELAYS if name.startswith("Postfix")])
async def test_postfix(relay: str, certificates: Path, tmp_path: Path) -> None:
    assert cells(await evidence(relay, certificates, tmp_path)) == table()[relay]


@pytest.mark.judge("exim4", root=True)
@pytest.mark.parametrize("relay", [name for name in RELAYS if name.startswith("Exim")])
async def test_exim(relay: str, certificates: Path, tmp_path: Path) -> None:
    assert cells(await evidence(relay, certificates, tmp_path)) == table()[relay]


@pytest.mark.judge("node", "npm")
async def test_haraka(certificates: Path, tmp_path: Path) -> None:
    relay = "Haraka, `queue/smtp_forward`"
    assert cells(await evidence(relay, certificates, tmp_path)) == table()[relay]


@pytest.mark.parametrize("relay", OURS)
async def test_ours(relay: str, certificates: Path, tmp_path: Path) -> None:
    assert cells(await evidence(relay, certificates, tmp_path)) == table()[relay]
