"""The files that pages are made of: others' are as they came, and plots say what they count."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib.resources import files

import pytest
import record_builders as build
from record_builders import OK
from typer.core import TyperGroup
from typer.main import get_command

from relay.cli.app import app
from relay.core.outcomes import ConnectionFailure, ConnectionProblem, Deferred, Delivered, Stage
from relay.core.records import Attempt, RecipientOutcome
from relay.web.pages_live import HEIGHT, MINUTES, WIDTH, handshake_plot, throughput_plot
from relay.web.pages_mail import read_search
from relay.web.tally import Histogram

PAGES = files("relay.web").joinpath("pages")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LOST = Deferred(
    failure=ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.EHLO, detail="")
)


def test_files_of_others_are_as_they_came() -> None:
    told = PAGES.joinpath("VENDORED.md").read_text()
    found = re.findall(r"\| `(static/\S+)` .*\| ([\d.]+) \| \S+ \| `([0-9a-f]{64})`", told)
    assert [name for name, _, _ in found] == ["static/htmx.min.js"]
    for name, version, digest in found:
        content = PAGES.joinpath(name).read_bytes()
        assert sha256(content).hexdigest() == digest
        assert f'"{version}"' in content.decode() or f"'{version}'" in content.decode()


def test_our_own_files_ask_nothing_of_other_hosts() -> None:
    for folder in ("static", "templates"):
        for entry in PAGES.joinpath(folder).iterdir():
            if entry.name != "htmx.min.js":
                text = entry.read_text().replace("http://www.w3.org/2000/svg", "")
                assert not re.search(r"(https?:)?//(?!127\.0\.0\.1)[a-z]+\.", text), entry.name


def attempt(minutes_ago: float, *outcomes: Delivered | Deferred) -> Attempt:
    return build.attempt(
        at=NOW - timedelta(minutes=minutes_ago),
        outcomes=tuple(RecipientOutcome(recipient="a@b.test", outcome=o) for o in outcomes),
    )


def test_tries_are_counted_by_the_minute() -> None:
    tries = [
        attempt(0, OK), attempt(0.5, LOST, OK), attempt(10.5, OK),
        attempt(MINUTES + 0.1, LOST),
    ]  # fmt: skip
    plot = throughput_plot(tries, NOW)
    assert plot.summary == "3 tries in the last 30 minutes, 1 of them not delivered."
    assert plot.top == "2 a minute"
    shapes = [(bar.x, bar.height, bar.bad) for bar in plot.bars]
    step = WIDTH / MINUTES
    assert shapes == [
        (19 * step + 1, HEIGHT / 2, False),
        (29 * step + 1, HEIGHT, False),
        (29 * step + 1, HEIGHT / 2, True),
    ]
    assert plot.bars[-1].label == "0 min ago: 2 tries, 1 not delivered"


def test_no_tries_are_no_bars() -> None:
    assert throughput_plot([], NOW).bars == ()
    assert handshake_plot(Histogram((1, 2))).bars == ()


def test_handshakes_are_plotted_by_their_time() -> None:
    times = Histogram((0.5, 1))
    for seconds in (0.1, 0.2, 0.3, 5):
        times.observe(seconds)
    plot = handshake_plot(times)
    assert plot.summary == "4 TLS handshakes since the start, 1400 ms on average."
    assert [bar.label for bar in plot.bars] == ["up to 0.5 s: 3", "over 1 s: 1"]
    assert [bar.height for bar in plot.bars] == [HEIGHT, HEIGHT / 3]


@pytest.mark.parametrize("name", ["state", "protection"])
def test_an_empty_mark_is_none(name: str) -> None:
    search = read_search({name: "", "q": "  "})
    assert (search.problem, search.query) == (None, "")


def test_commands_that_pages_name_exist() -> None:
    """Each is resolved in the tree of commands, its options too."""
    tree = get_command(app)
    named = [
        line
        for page in PAGES.joinpath("templates").iterdir()
        for line in re.findall(r"<code>relay ([^<]+)</code>", page.read_text("utf-8"))
    ]
    assert named
    for line in named:
        command, words = tree, line.split()
        while words and isinstance(command, TyperGroup):
            found = command.commands.get(words.pop(0))
            assert found is not None, line
            command = found
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= known | {"--help"}, line
