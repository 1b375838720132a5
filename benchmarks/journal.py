"""What a message costs in a journal that holds many, and what its lists cost.

`python benchmarks/journal.py [--sizes 10000 100000] [--json]`. Fills a journal in a temporary
directory, measures at each size, and checks what it filled. The parts of one record are written in
the batches in which a relay writes them: the message, then its attempt with its session and its
outcome. All times are processor time of this process, which other work on the machine does not add
to, but the disk's is not in them. docs/performance.md has a measured run.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests/journal"))

from journal_records import (  # type: ignore[import-not-found]
    NOON,
    a_bounce,
    a_message,
    a_session,
    an_attempt,
)

from relay.journal.api import Batch, RecipientState, RecipientUpdate
from relay.journal.browsing import SqliteBrowser, open_browser
from relay.journal.checking import check_journal
from relay.journal.searching import MessageFilter
from relay.journal.sqlite_journal import SqliteJournal, open_journal
from relay.journal.transfer import import_batches

AT_ONCE: Final = 50
"""Messages in hand at the same time: writers that wait for one commit together."""
DOMAINS: Final = 200
CONTENT: Final = b"Subject: a statement\r\n\r\n" + b"a line of some text\r\n" * 48
DIGEST: Final = sha256(CONTENT).hexdigest()
MEASURED: Final = 1_000
TURNS: Final = 3
ROUNDS: Final = 15
Figures = dict[str, Any]


def batches_of(number: int) -> tuple[Batch, Batch]:
    """Return a message as accepted, and what came of it: one in ten bounces."""
    recipient = f"u{number % 5000}@d{number % DOMAINS}.test"
    bounces = number % 10 == 0
    message = a_message(
        number,
        content=CONTENT,
        recipients=(recipient,),
        size=len(CONTENT),
        sha256=DIGEST,
        state=RecipientState.QUEUED,
        next_at=NOON,
    )
    attempt = an_attempt(number, message=number)
    outcome = replace(attempt.outcomes[0], recipient=recipient)
    update = RecipientUpdate(
        message_id=message.envelope.id,
        recipient=recipient,
        state=RecipientState.FAILED if bounces else RecipientState.DELIVERED,
        next_at=None,
    )
    return Batch(messages=(message,)), Batch(
        sessions=(a_session(number),),
        attempts=(replace(attempt, outcomes=(outcome,)),),
        bounces=(a_bounce(number, message=number, recipient=recipient),) if bounces else (),
        updates=(update,),
    )


def fill(path: Path, numbers: range) -> None:
    """Write these messages in one transaction; nothing of it is measured."""
    import_batches(path, (batch for number in numbers for batch in batches_of(number)))


async def write(journal: SqliteJournal, numbers: range) -> float:
    """Write messages, many at a time; return the microseconds of processor that each took."""
    left = iter(numbers)

    async def hand() -> None:
        for number in left:
            for batch in batches_of(number):
                await journal.writer.write(batch)

    began = time.process_time()
    async with asyncio.TaskGroup() as hands:
        for _ in range(AT_ONCE):
            hands.create_task(hand())
    return (time.process_time() - began) / len(numbers) * 1e6


def lists(size: int) -> dict[str, Callable[[SqliteBrowser], object]]:
    """Return what is asked of a journal of this size; each is a list of at most 50."""
    begin, end = NOON + timedelta(seconds=size // 2), NOON + timedelta(seconds=size // 2 + 40)
    asked: dict[str, MessageFilter] = {
        "of a domain": MessageFilter(domain="d7.test"),
        "to an address": MessageFilter(recipient="u77@d77.test"),
        "delivered": MessageFilter(state=RecipientState.DELIVERED),
        "queued (there is none)": MessageFilter(state=RecipientState.QUEUED),
        "with code 4.7.5": MessageFilter(code="4.7.5"),
        "of 40 seconds in the middle": MessageFilter(since=begin, until=end),
        "since the middle": MessageFilter(since=begin),
        "text that the newest have": MessageFilter(text="crm.test"),
        "text that none has": MessageFilter(text="nowhere to be found"),
    }
    found: dict[str, Callable[[SqliteBrowser], object]] = {"newest": lambda b: b.messages(50)}
    for name, wanted in asked.items():
        found[name] = lambda b, wanted=wanted: b.find_messages(50, wanted)  # type: ignore[misc]
    return found


def measured(path: Path, size: int) -> dict[str, float]:
    """Return the median milliseconds of each list."""
    with closing(open_browser(path)) as browser:
        return {name: _median(ask, browser) for name, ask in lists(size).items()}


def _median(ask: Callable[[SqliteBrowser], object], browser: SqliteBrowser) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        ask(browser)
        took.append((time.process_time() - began) * 1e3)
    return statistics.median(took)


async def costs(path: Path, begin: int) -> list[float]:
    """Write some more messages, a few times over; return what one took each time."""
    async with open_journal(path, bounce_lines=None) as journal:
        return [
            await write(journal, range(begin + turn * MEASURED, begin + (turn + 1) * MEASURED))
            for turn in range(TURNS)
        ]


def run(path: Path, sizes: list[int]) -> Figures:
    """Fill a journal to each size in turn, and measure there."""
    figures: Figures = {"sizes": {}}
    begin = 1
    for size in sorted(sizes):
        fill(path, range(begin, max(begin, size + 1)))
        begin = max(begin, size + 1)
        figures["sizes"][str(size)] = {
            "microseconds of a message": statistics.median(asyncio.run(costs(path, begin))),
            "milliseconds of a list": measured(path, size),
            "octets of the file": path.stat().st_size,
        }
        begin += TURNS * MEASURED
    figures["damages"] = len(check_journal(path).damages)
    return figures


def show(figures: Figures) -> None:
    """Print the figures as one table."""
    sizes = figures["sizes"]
    table = Table("", *(f"{int(size):,} stored" for size in sizes))
    key = "microseconds of a message"
    table.add_row("a message, us", *(f"{sizes[size][key]:.0f}" for size in sizes))
    for name in next(iter(sizes.values()))["milliseconds of a list"]:
        values = (sizes[size]["milliseconds of a list"][name] for size in sizes)
        table.add_row(f"list of 50, {name}, ms", *(f"{value:.2f}" for value in values))
    files = (sizes[size]["octets of the file"] for size in sizes)
    table.add_row("file, MiB", *(f"{value / 2**20:.0f}" for value in files))
    Console().print(table)
    costs = [sizes[size][key] for size in sizes]
    Console().print(f"A message costs {costs[-1] / costs[0]:.2f} of what it cost at first.")


def main() -> int:
    """Run it; 1 where the journal that came of it is damaged."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with TemporaryDirectory(prefix="relaylab-journal-") as directory:
        figures = run(Path(directory) / "journal.sqlite3", options.sizes)
    if options.json:
        print(json.dumps(figures, indent=2))  # noqa: T201
    else:
        show(figures)
    return 1 if figures["damages"] else 0


if __name__ == "__main__":
    sys.exit(main())
