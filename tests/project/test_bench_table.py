"""The table of `make bench`: what is judged, how, and what is printed, drawn and kept of it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console

REPOSITORY = Path(__file__).parents[2]
sys.path.insert(0, str(REPOSITORY))

from benchmarks.bench import profiling  # noqa: E402 - found on the path just made
from benchmarks.bench.__main__ import main  # noqa: E402
from benchmarks.bench.chart import chart  # noqa: E402
from benchmarks.bench.pages import PAGE, write_part  # noqa: E402
from benchmarks.bench.processes import BenchError  # noqa: E402
from benchmarks.bench.report import (  # noqa: E402
    exit_code,
    from_json,
    markdown,
    show,
    to_json,
)
from benchmarks.bench.rows import (  # noqa: E402
    ROWS,
    Better,
    Figure,
    Finding,
    Loop,
    Row,
    Sample,
    State,
    chosen,
    findings,
    name_of,
    wanted,
)
from benchmarks.bench.run import Measuring, Run  # noqa: E402

MACHINE = {"when": "2026-01-01 00:00 UTC", "load before": "0 0 0", "load after": "1 1 1"}
RATES = {"relay@asyncio": [900.0, 1000.0, 300.0], "postfix-reuse": [200.0, 250.0, 300.0]}


def samples(rates: Mapping[str, Sequence[float]]) -> dict[str, list[Sample]]:
    return {
        name: [Sample(figures={Figure.RATE: rate, Figure.CPU: 400}) for rate in rounds]
        for name, rounds in rates.items()
    }


def a_run(**rates: Sequence[float]) -> Run:
    run = Run(
        machine=dict(MACHINE),
        settings={"relay": "reuse: on"},
        rounds=3,
        scale=1,
        loops=(Loop.ASYNCIO,),
    )
    run.samples["relay"] = samples(RATES | rates)
    return run


def found_in(run: Run, *keys: str) -> tuple[Finding, ...]:
    return findings(chosen(keys), run.samples, run.loops)


def test_a_row_is_the_ratio_of_the_medians() -> None:
    (finding,) = found_in(a_run(), "relay-reuse")
    assert (finding.ours, finding.theirs, finding.value) == (900, 250, 3.6)
    assert (finding.lowest, finding.highest) == (1, 4.5)
    assert finding.state is State.FLOOR
    assert finding.times_floor() == pytest.approx(1.2)


@pytest.mark.parametrize(
    ("better", "value", "state"),
    [
        (Better.HIGHER, 1.99, State.MISSED),
        (Better.HIGHER, 2, State.FLOOR),
        (Better.HIGHER, 4, State.AMBITION),
        (Better.LOWER, 4.01, State.MISSED),
        (Better.LOWER, 4, State.FLOOR),
        (Better.LOWER, 2, State.AMBITION),
        (Better.HIGHER, None, State.UNKNOWN),
    ],
)
def test_a_value_is_judged_by_floor_and_ambition(
    better: Better, value: float | None, state: State
) -> None:
    floor, ambition = (2, 4) if better is Better.HIGHER else (4, 2)
    row = Row(
        key="k", short="k", measure="m", suite="s", figure=Figure.RATE, ours="relay",
        better=better, floor=floor, ambition=ambition,
    )  # fmt: skip
    finding = Finding(
        row=row, loop=None, ours=value, theirs=None, value=value, lowest=None, highest=None
    )
    assert finding.state is state


def test_each_loop_is_judged_and_peers_have_none() -> None:
    run = a_run(**{"relay@uvloop": [2000, 2000, 2000]})
    run.loops = (Loop.ASYNCIO, Loop.UVLOOP)
    one, other = found_in(run, "relay-reuse")
    assert (one.loop, one.state) == (Loop.ASYNCIO, State.FLOOR)
    assert (other.loop, other.state) == (Loop.UVLOOP, State.AMBITION)
    assert name_of("relay-fresh", Loop.UVLOOP) == "relay-fresh@uvloop"
    assert name_of("postfix-reuse", Loop.UVLOOP) == "postfix-reuse"


@pytest.mark.parametrize(
    ("rates", "lost", "clear", "code"),
    [
        ({}, 0, 0, 0),
        ({"relay@asyncio": [100, 100, 100]}, 0, 0, 1),
        ({"postfix-reuse": []}, 0, 0, 3),
        ({}, 1, 0, 1),
        ({}, 0, 1, 1),
    ],
)
def test_the_exit_status(rates: dict[str, list[float]], lost: int, clear: int, code: int) -> None:
    run = a_run(**rates)
    run.add("receive", "relay-receive@asyncio", Sample(figures={}, lost=lost, clear=clear))
    assert exit_code(run, found_in(run, "relay-reuse")) == code


def test_what_a_peer_loses_is_told_and_not_ours() -> None:
    run = a_run()
    run.add("relay", "postfix", Sample(figures={}, lost=2))
    found = found_in(run, "relay-reuse")
    assert exit_code(run, found) == 0
    assert "postfix: 0 refused, 2 lost, 0 in clear text." in markdown(run, found)


def test_a_run_is_kept_and_read_again() -> None:
    run = a_run()
    run.missing["maildev"] = "no npm"
    run.add("relay", "relay@asyncio", Sample(figures={}, refused=1, lost=2, clear=3))
    found = found_in(run)
    assert from_json(to_json(run, found)) == run


def test_what_is_printed_fits_and_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    run = a_run()
    run.missing["maildev"] = "no npm"
    show(run, found_in(run), Console(width=80, color_system=None))
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 80
    assert "  asyncio     3.6x (1-4.5)       900/s to 250/s      ≥ 3x; 6x          floor" in printed
    assert "Not measured: maildev: no npm" in printed
    for row in ROWS:
        assert row.measure in " ".join(printed.split())


def test_the_chart_is_an_svg_with_a_bar_for_each_judged_row() -> None:
    found = found_in(a_run())
    root = ElementTree.fromstring(chart(found))
    bars = [element for element in root.iter() if element.tag.endswith("rect")]
    measured = [finding for finding in found if finding.times_floor() is not None]
    assert len(bars) == len(measured) == 2
    texts = {element.text for element in root.iter() if element.tag.endswith("text")}
    assert {finding.row.short for finding in measured} <= texts
    assert all(float(bar.attrib["width"]) > 0 for bar in bars)


def test_a_part_of_a_page_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- bench: begin -->\nold\n<!-- bench: end -->\nbehind\n")
    write_part(page, "bench", "new\n")
    assert page.read_text() == (
        "before\n<!-- bench: begin -->\n\nnew\n\n<!-- bench: end -->\nbehind\n"
    )
    with pytest.raises(BenchError, match="no markers"):
        write_part(page, "profile", "new")


def test_the_page_has_both_parts() -> None:
    text = PAGE.read_text()
    for name in ("bench", "profile"):
        assert f"<!-- {name}: begin -->" in text
        assert f"<!-- {name}: end -->" in text


def test_rows_have_names_of_their_own_and_every_contender_is_needed() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)
    assert wanted(chosen(["latency"])) == {"latency": {"relay", "postfix-reuse"}}
    for row in ROWS:
        assert (row.floor is None) == (row.ambition is None)


@pytest.mark.parametrize(
    "words", [["no-such-row"], ["--rounds", "0"], ["--quick", "--write-docs"], ["--rounds", "x"]]
)
def test_bad_usage_is_told(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "error" in capsys.readouterr().err


def test_a_file_that_is_no_run_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    file.write_text("[]")
    assert main(["--from", str(file)]) == 3
    assert "can't be read as a run" in capsys.readouterr().err


def test_a_profile_gives_built_in_time_to_the_room_that_calls() -> None:
    ours = (str(REPOSITORY / "relay/core/codec.py"), 1, "encode")
    library = ("/usr/lib/python3.11/json/encoder.py", 1, "iterencode")
    built_in = ("~", 0, "<built-in method len>")
    waiting = ("~", 0, "<method 'poll' of 'select.epoll' objects>")
    few = {ours: (10, 10, 1.0, 2.0, {}), built_in: (5, 5, 0.5, 0.5, {ours: (5, 5, 0.5, 0.5)})}
    many = {
        ours: (30, 30, 3.0, 5.0, {}),
        library: (20, 20, 1.0, 1.0, {ours: (20, 20, 1.0, 1.0)}),
        built_in: (25, 25, 1.5, 1.5, {ours: (15, 15, 1.0, 1.0), library: (10, 10, 0.5, 0.5)}),
        waiting: (9, 9, 9.0, 9.0, {library: (9, 9, 9.0, 9.0)}),
    }
    shares = profiling.per_message(few, many, messages=10)
    by_room: dict[str, float] = {}
    for (room, _), share in shares.items():
        by_room[room] = by_room.get(room, 0) + share.own
    assert by_room == pytest.approx({"relay.core": 250_000, "other libraries": 150_000})
    text = profiling.tables(shares)
    assert "| relay.core | 62.5% | 3.0 |" in text
    assert "`json/encoder.py: iterencode`" in text


def test_no_round_is_begun_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    run, said = a_run(), list[str]()
    now = iter([100.0, 160.0, 160.0, 225.0, 225.0])
    monkeypatch.setattr("benchmarks.bench.run.time.monotonic", lambda: next(now))
    measuring = Measuring(run, None, said.append, 0)  # type: ignore[arg-type]
    assert measuring.rounds([], until=280) == 2
    assert said == ["the time is over: 2 rounds of 3"]
