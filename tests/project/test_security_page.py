"""Every test that docs/security.md names exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_security_pages_tests_exist() -> None:
    page = (ROOT / "docs/security.md").read_text("utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| ")][1:]
    for row in rows:
        named = re.findall(r"`([^`]+)`", row[-1])
        assert named, f"no test for: {row[0]}"
        assert [name for name in named if not _exists(name)] == []


def _exists(name: str) -> bool:
    if name.startswith("dialogs/"):
        return (ROOT / "tests/inbound" / name).is_file()
    stem, _, test = name.partition("::")
    return any(
        re.search(rf"^(?:async )?def {re.escape(test)}\(", file.read_text("utf-8"), re.MULTILINE)
        for file in (ROOT / "tests").rglob(f"{stem}.py")
    )
