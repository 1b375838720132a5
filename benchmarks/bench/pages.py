"""Parts of a page that a command writes: each between two markers of its own."""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench.installing import REPOSITORY
from benchmarks.bench.processes import BenchError

PAGE = REPOSITORY / "docs/performance.md"
CHART = REPOSITORY / "docs/images/performance.svg"


def write_part(page: Path, name: str, text: str) -> None:
    """Replace what stands between the markers of this name; BenchError without them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise BenchError(f"{page} has no markers '{begin}' and '{end}'")
    page.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
