"""The command behind `make bench`; `make bench ARGS=--help` says what it takes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.bench import profiling
from benchmarks.bench.chart import chart
from benchmarks.bench.installing import CACHE
from benchmarks.bench.pages import CHART, PAGE, write_part
from benchmarks.bench.processes import BenchError
from benchmarks.bench.report import exit_code, from_json, markdown, show, to_json
from benchmarks.bench.rows import ROWS, chosen, findings
from benchmarks.bench.run import Run, run

QUICK = 0.1
PROFILE = "profile"
EXIT = """\
Exit status: 0 every floor was met, 1 one was missed, 2 usage, 3 something could not be measured.
"""


def main(words: Sequence[str] | None = None) -> int:
    """Run what was asked for; return the exit status."""
    parser = _parser()
    options = parser.parse_args(words)
    if not sys.platform.startswith("linux"):
        parser.error("the measurements read Linux's /proc")
    if unknown := set(options.rows) - {row.key for row in ROWS} - {PROFILE}:
        parser.error(f"no row {', '.join(sorted(unknown))}; --list names them")
    if options.write_docs and (options.quick or set(options.rows) - {PROFILE}):
        parser.error("the page takes a whole run: no --quick, and no rows")
    if options.list:
        for row in ROWS:
            print(f"{row.key:22}{row.measure}")  # noqa: T201
        return 0
    try:
        if PROFILE in options.rows:
            return _profile(options)
        found = _saved(options.saved) if options.saved else _measured(options)
        if options.write_docs and found.scale != 1:
            raise BenchError("the page takes a whole run, and that was a quick one")
        return _tell(found, options)
    except BenchError as error:
        _say(f"bench: {error}")
        return 3
    except KeyboardInterrupt:
        _say("bench: stopped; everything that was started has ended")
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...",
        description="Measure Relaylab beside its peers on this machine, in one run.",
        epilog=EXIT,
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help="rows to measure (default: all), "
                        f"or '{PROFILE}': where the time of a relayed message goes")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="name the rows")
    parser.add_argument("--rounds", type=_count, default=5, metavar="N", help="default: 5")
    parser.add_argument("--minutes", type=_count, default=12, metavar="M", help="begin no round "
                        "that would end later; the journal comes then (default: 12)")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="one round with a tenth of the "
                        "messages: whether it runs, not how fast")  # fmt: skip
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample")
    parser.add_argument("--from", dest="saved", type=Path, metavar="FILE",
                        help="measure nothing: show such a file again")  # fmt: skip
    parser.add_argument("--write-docs", action="store_true",
                        help="bring docs/performance.md and its chart up to date")  # fmt: skip
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100")
    return int(text)


def _measured(options: argparse.Namespace) -> Run:
    rounds, scale = (1, QUICK) if options.quick else (options.rounds, 1.0)
    rows, minutes = chosen(options.rows), options.minutes
    return run(rows, rounds=rounds, scale=scale, minutes=minutes, say=_say)


def _saved(file: Path) -> Run:
    try:
        return from_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchError(f"{file} can't be read as a run: {error}") from error


def _tell(found: Run, options: argparse.Namespace) -> int:
    rows = [row for row in chosen(options.rows) if not options.saved or row.suite in found.samples]
    results = findings(rows, found.samples, found.loops)
    console = Console()
    show(found, results, console)
    if options.json:
        options.json.write_text(to_json(found, results), encoding="utf-8")
    drawn = CHART if options.write_docs else CACHE / "performance.svg"
    drawn.parent.mkdir(parents=True, exist_ok=True)
    drawn.write_text(chart(results), encoding="utf-8")
    console.print(f"Chart: {drawn}", highlight=False, soft_wrap=True)
    if options.write_docs:
        write_part(PAGE, "bench", markdown(found, results))
    return exit_code(found, results)


def _profile(options: argparse.Namespace) -> int:
    text = profiling.profile(say=_say)
    print(text)  # noqa: T201
    if options.write_docs:
        write_part(PAGE, PROFILE, text)
    return 0


def _say(line: str) -> None:
    """Print progress at once, away from the results."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
