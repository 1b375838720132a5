"""The chart: how each row stands to its floor, as an SVG that reads on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Final

from benchmarks.bench.report import cells
from benchmarks.bench.rows import Finding, Loop, State

WIDTH: Final = 880
LEFT: Final = 270
RIGHT: Final = 640
TOP: Final = 56
LINE: Final = 22
LEAST: Final = 1 / 16
MOST: Final = 16.0
STYLE: Final = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.small { font-size: 11px; fill: #59636e; }
.grid { stroke: #d1d9e0; } .floor { stroke: #1f2328; stroke-width: 1.5; }
.met { fill: #1a7f37; } .missed { fill: #cf222e; } .uv { opacity: .6; }
.ambition { stroke: #1f2328; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } .small { fill: #9198a1; } .grid { stroke: #3d444d; }
  .floor, .ambition { stroke: #f0f6fc; } .met { fill: #3fb950; } .missed { fill: #f85149; }
}
"""


def chart(found: Sequence[Finding]) -> str:
    """Return the SVG of every row that has a floor and was measured."""
    shown = [finding for finding in found if finding.times_floor() is not None]
    height = TOP + LINE * len(shown) + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Each measure, as a multiple of its floor</title>",
        f"<style>{STYLE}</style>",
        _text(10, 20, "Each measure, as a multiple of its floor (to the right is better)"),
        _text(10, 38, "bar: measured; upright stroke on it: the ambition; value, floor and "
              "ambition on the right", kind="small"),
    ]  # fmt: skip
    for power in range(-4, 5):
        times = 2.0**power
        kind = "floor" if times == 1 else "grid"
        x = _x(times)
        parts.append(_stroke(x, TOP - 4, height - 24, kind))
        if power % 2 == 0:
            label = "floor" if times == 1 else f"{times:g}x" if times > 1 else f"1/{1 / times:g}"
            parts.append(_text(x, height - 8, label, kind="small", anchor="middle"))
    for number, finding in enumerate(shown):
        parts += _bar(finding, TOP + LINE * number)
    return "\n".join([*parts, "</svg>", ""])


def _bar(finding: Finding, y: int) -> list[str]:
    times, row = finding.times_floor(), finding.row
    assert times is not None
    assert row.floor is not None
    assert row.ambition is not None
    ambition = row.ambition / row.floor
    begin, end = sorted((_x(1), _x(times)))
    kind = "missed" if finding.state is State.MISSED else "met"
    if finding.loop is Loop.UVLOOP:
        kind += " uv"
    _, _, _, _, value, _, floor, aim, _ = cells(finding)
    uvloop = finding.loop is Loop.UVLOOP
    name = _text(
        LEFT - 10,
        y + 14,
        "on uvloop" if uvloop else row.short,
        kind="small" if uvloop else "",
        anchor="end",
    )
    size = f'width="{max(1.5, end - begin):.1f}" height="{LINE - 8}" rx="2"'
    return [
        name,
        f'<rect class="{kind}" x="{begin:.1f}" y="{y + 3}" {size}/>',
        _stroke(_x(max(ambition, 1 / ambition)), y + 2, y + LINE - 4, "ambition"),
        _text(RIGHT + 14, y + 14, value),
        _text(RIGHT + 80, y + 14, f"{floor}, {aim}", kind="small"),
    ]


def _x(times: float) -> float:
    """Return where a multiple of the floor is drawn; what is off the scale, at its end."""
    share = math.log(min(MOST, max(LEAST, times)) / LEAST) / math.log(MOST / LEAST)
    return LEFT + share * (RIGHT - LEFT)


def _text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _stroke(x: float, top: float, bottom: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>'
