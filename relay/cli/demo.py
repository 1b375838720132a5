"""`relay demo`: real messages to every scenario under every setting, compared with expectations."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli import completion
from relay.cli.console import ExitCode, console, fail, print_json
from relay.cli.progress import progress_bar

if TYPE_CHECKING:
    from rich.text import Text

    from relay.audit.runner import Cell
    from relay.core.jsonform import Json
    from relay.core.settings import TlsSetting

    Told = Callable[[str, TlsSetting], None]
    """Told of each message that was answered: its scenario and setting."""


def demo(
    *,
    scenario: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            autocompletion=completion.scenarios,
            help="Only these scenarios, by commas; may be given several times.",
        ),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the cells as JSON.")] = False,
) -> None:
    """Send a message to every scenario under every setting.

    All happens on free ports of this machine. Whether it was delivered is read from what the
    receivers stored. Exits 1 if any cell differs from the expectations, which people typed from
    Salesforce's documents. Scenarios that this machine can't run are named and left out; exits 3 if
    none is left.
    """
    from relay.audit.expectations import EXPECTATIONS
    from relay.core.settings import TlsSetting
    from relay.lab.availability import why_unavailable
    from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS, UnknownScenario

    asked = [name.strip() for names in scenario or () for name in names.split(",")]
    wanted = list(dict.fromkeys(asked)) or list(SCENARIOS)
    if unknown := [name for name in wanted if name not in SCENARIOS]:
        fail(str(UnknownScenario(unknown[0])), hint="List them with: relay lab list")
    if gaps := [name for name in wanted if name not in EXPECTATIONS]:
        fail(f"no expectation is written for {gaps[0]!r}", code=ExitCode.UNDETERMINED)
    receivers = {name: LAB_SCENARIOS[name] for name in wanted if name in LAB_SCENARIOS}
    lacking = {name: why for name, s in receivers.items() if (why := why_unavailable(s))}
    wanted = [name for name in wanted if name not in lacking]
    for why in lacking.values():
        console(stderr=True).print(f"not run: {why}", markup=False)
    if not wanted:
        raise typer.Exit(ExitCode.UNDETERMINED)
    total = len(wanted) * len(TlsSetting)
    with progress_bar(console(stderr=True), "sending", total=total, hidden=json) as update:
        cells = _run(
            wanted,
            lambda name, setting: update(advance=1, description=f"{name}, {setting.label}"),
        )
    if json:
        print_json([_plain(cell) for cell in cells])
    else:
        _print_table(cells)
    raise typer.Exit(
        ExitCode.AS_EXPECTED if all(cell.as_expected for cell in cells) else ExitCode.FINDING
    )


def _run(scenarios: Sequence[str], progress: Told) -> Sequence[Cell]:
    from relay.audit import runner
    from relay.audit.expectations import EXPECTATIONS
    from relay.cli.own_relays import own_relays

    async def main() -> Sequence[Cell]:
        async with own_relays() as (relays, look):
            return await runner.run(
                relays=relays,
                scenarios=scenarios,
                expectations=EXPECTATIONS,
                look=look,
                new_mark=lambda: f"mark-{secrets.token_hex(8)}",
                progress=progress,
            )

    return asyncio.run(main())


def _plain(cell: Cell) -> Json:
    return {
        "scenario": cell.scenario,
        "setting": cell.setting.value,
        "verdict": cell.verdict,
        "code": cell.code,
        "text": cell.text,
        "delivered": cell.delivered,
        "expected": str(cell.expected),
        "as_expected": cell.as_expected,
    }


def _print_table(cells: Sequence[Cell]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from relay.core.settings import TlsSetting

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=0)
    table.add_column("scenario", no_wrap=True)
    for setting in TlsSetting:
        table.add_column(setting.label, min_width=9)
    by_scenario: dict[str, dict[TlsSetting, Cell]] = {}
    for cell in cells:
        by_scenario.setdefault(cell.scenario, {})[cell.setting] = cell
    for scenario, row in by_scenario.items():
        table.add_row(Text(scenario), *(_cell_text(row[setting]) for setting in TlsSetting))
    out.print(table)
    wrong = [cell for cell in cells if not cell.as_expected]
    for cell in wrong:
        out.print(
            Text(
                f"{cell.scenario} under {cell.setting.label}: {cell.verdict}, "
                f"expected {cell.expected} (reply {cell.code} {cell.text})"
            )
        )
    delivered = sum(cell.delivered for cell in cells)
    out.print(
        f"{len(cells)} messages, {delivered} stored by their receivers, "
        f"{len(cells) - delivered} refused; {len(wrong)} not as expected."
    )


def _cell_text(cell: Cell) -> Text:
    from rich.text import Text

    if not cell.as_expected:
        return Text(f"{cell.verdict} !", style="bold red")
    style = {"clear": "yellow", "encrypted": "green", "verified": "bold green"}
    return Text(cell.verdict, style=style.get(cell.verdict, "cyan"))
