"""A check as a terminal of 80 columns shows it: the answer, chain, faults, then the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from relay.audit.check import Check, Expected, Reached
from relay.audit.check_host import Agreement, HostCheck
from relay.audit.check_versions import NotAsked
from relay.audit.check_words import (
    agreement_words,
    broken_session,
    link_words,
    not_tried_words,
    summary,
    trouble,
    validity_words,
    verdict_mark,
    verdict_meaning,
    version_words,
)
from relay.audit.record_words import seen_words
from relay.cli.render import transcript
from relay.core.advisory_cards import ADVISORIES
from relay.core.fault_cards import card
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TrustAnchors
from relay.formats.report import Mark
from relay.tls.describe import moment
from relay.tls.probing_chain import ChainView, Validity

_STYLES = {
    Mark.GOOD: "green",
    Mark.WARNING: "yellow",
    Mark.BAD: "bold red",
    Mark.UNKNOWN: "magenta",
    Mark.PLAIN: "",
}
_NAMES_SHOWN = 6
_ALIKE_SHOWN = 4


def print_check(out: Console, check: Check, *, verbose: bool) -> None:
    """Print one target's check; `verbose` adds stages and dialog."""
    words, mark = summary(check)
    out.print(Text(words, style=_STYLES[mark] or "bold"))
    for sentence in trouble(check):
        out.print(Padding(Text(sentence), (0, 0, 0, 2)))
    if check.reached is not Reached.NOBODY or check.expected:
        out.print()
        out.print(_verdicts(check))
    for host in check.hosts:
        if host.reached:
            out.print()
            out.print(_host(host, several=len(check.hosts) > 1, verbose=verbose))
    if check.reached is Reached.HOST:
        out.print()
        basis = f"Judged by trust in {trust_words(check.trust)} and code book {check.book}."
        out.print(Text(f"{basis} Nothing was mailed.", style="dim"))
        if verbose:
            out.print(Text(not_tried_words(), style="dim"))


def print_overview(out: Console, checks: Sequence[Check]) -> None:
    """Print one line for each target: its verdict under each setting."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Target", overflow="fold")
    for setting in TlsSetting:
        # Two lines, so that names of hosts have room.
        table.add_column(setting.label.replace(" ", "\n"), min_width=9)
    for check in checks:
        unmet = {each.expectation.setting for each in check.expected if each.met is False}
        words = (
            Text(f"{v.word} !", style="bold red")
            if v.setting in unmet
            else Text(v.word, style=_STYLES[verdict_mark(v)])
            for v in check.verdicts
        )
        table.add_row(Text(check.target), *words)
    out.print(table)
    failed = sum(check.failed for check in checks)
    unknown = sum(not check.determined for check in checks)
    counts = [f"{len(checks)} targets"]
    counts += [f"{failed} not as expected (!)"] if failed else []
    counts += [f"{unknown} could not be determined"] if unknown else []
    out.print(f"{', '.join(counts)}.")


def trust_words(trust: TrustAnchors) -> str:
    """Name what is trusted."""
    words = ["the lab's root"] if trust.lab else []
    words += ["this machine's roots"] if trust.system else []
    return ", ".join((*words, *trust.ca_files))


def _verdicts(check: Check) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("Setting", no_wrap=True)
    table.add_column("Verdict", no_wrap=True)
    table.add_column("What the sender sees")
    expected = {each.expectation.setting: each for each in check.expected}
    for verdict in check.verdicts:
        meaning = Text(verdict_meaning(verdict))
        each = expected.get(verdict.setting)
        if each is not None:
            word, style = _expectation_words(each)
            meaning = Text.assemble((word, style), ": ", meaning)
        word_text = Text(verdict.word, style=_STYLES[verdict_mark(verdict)])
        table.add_row(verdict.setting.label, word_text, meaning)
    return table


def _expectation_words(each: Expected) -> tuple[str, str]:
    match each.met:
        case True:
            return "as expected", "green"
        case False:
            return f"EXPECTED {each.expectation.wanted}", "bold red"
        case None:
            return f"expected {each.expectation.wanted}, which nobody can tell", "magenta"
        case _:
            assert_never(each.met)


def _host(host: HostCheck, *, several: bool, verbose: bool) -> RenderableType:
    head = Text.assemble("Host ", (str(host.hop), "bold"))
    parts: list[RenderableType] = [head]
    if several:
        head.append(f", preference {host.preference}")
        alone = ", ".join(f"{v.setting.label}: {v.word}" for v in host.verdicts)
        parts.append(Padding(Text(f"Alone it makes {alone}"), (0, 0, 0, 2)))
    parts.append(Padding(_facts(host), (0, 0, 0, 2)))
    if host.chain is not None:
        parts += [
            "",
            Text("  Chain, as the host sent it"),
            Padding(_chain(host.chain, host.record.at), (0, 0, 0, 2)),
        ]
    if host.faults or host.advisories:
        parts += ["", Padding(_faults(host), (0, 0, 0, 2))]
    if verbose:
        parts += ["", Text("  Stages"), Padding(_stages(host), (0, 0, 0, 2))]
        parts += ["", Text("  Dialog"), transcript(host.transcript)]
    return Group(*parts)


def _facts(host: HostCheck) -> Table:
    grid = _grid()
    if (broken := broken_session(host)) is not None:
        grid.add_row("Broken off", Text(broken, style="bold red"))
    if host.record.evidence is not None and host.record.failure is None:
        grid.add_row("Seen", Text(seen_words(host.record.evidence)))
    if (agreement := agreement_words(host)) is not None:
        calm = host.confirmation.agreement is Agreement.AGREES
        grid.add_row("OpenSSL", Text(agreement, style="" if calm else "bold red"))
    if (
        len({r.answer.kind for r in host.versions}) == 1
        and host.versions
        and (isinstance(host.versions[0].answer, NotAsked))
    ):
        grid.add_row("Versions", Text(f"not asked: {host.versions[0].answer.why}"))
        return grid
    for number, result in enumerate(host.versions):
        word, detail = version_words(result)
        grid.add_row(
            "" if number else "Versions", Text(f"TLS {result.version.value} {word}: {detail}")
        )
        if result.suites is not None:
            grid.add_row("", _suites(result.suites.names, result.suites.of))
            if not result.suites.complete:
                grid.add_row("", Text("  the list was cut off", style="yellow"))
    return grid


def _suites(names: tuple[str, ...], of: int) -> Padding:
    return Padding(
        Text("\n".join((f"{len(names)} of {of} suites, as the host chose:", *names))), (0, 0, 0, 2)
    )


def _chain(view: ChainView, at: datetime) -> Table:
    grid = _grid(padding=1)
    for link in view.links:
        grid.add_row(f"{link.number}", Text(link.subject, style="bold"))
        if link.names or link.number == 1:
            shown = ", ".join(link.names[:_NAMES_SHOWN]) or "none"
            more = len(link.names) - _NAMES_SHOWN
            grid.add_row("|", Text(f"names {shown}{f' and {more} more' if more > 0 else ''}"))
        valid = link.validity is Validity.VALID
        grid.add_row("|", Text(validity_words(link, at), style="" if valid else "bold red"))
        grid.add_row("|", Text(f"key {link.key}, signed with {link.signature}"))
        words, broken = link_words(link, view)
        if words:
            last = link.number == len(view.links)
            mark = Text("x", style="bold red") if broken else Text("=" if last else "~")
            grid.add_row(mark, Text(words, style="bold red" if broken else ""))
            for address in link.issuer_addresses if broken else ():
                grid.add_row("", Text(f"its authority offers it at {address} (not fetched)"))
    for number in view.unreadable:
        grid.add_row(f"{number}", Text("a certificate that can't be read", style="bold red"))
    return grid


def _faults(host: HostCheck) -> Table:
    grid = _grid()
    for fault in host.faults:
        grid.add_row(
            Text("Fault", style="red"),
            Text.assemble((fault.kind.value, "bold"), f": {fault.detail}"),
        )
        grid.add_row("Remedy", Text(card(fault).remedy))
    for advisory in host.advisories:
        grid.add_row(
            Text("Note", style="yellow"),
            Text.assemble((advisory.kind.value, "bold"), f": {advisory.detail}"),
        )
        grid.add_row("", Text(ADVISORIES[advisory.kind].meaning))
    if host.nearest:
        others = f" (also like it: {', '.join(host.nearest[1:_ALIKE_SHOWN])})"
        more = others if len(host.nearest) > 1 else ""
        grid.add_row("Try it", Text(f"relay lab show {host.nearest[0]}{more}"))
    return grid


def _stages(host: HostCheck) -> Table:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for stage in host.stages:
        done = Text("done" if stage.done else "FAILED", style="" if stage.done else "bold red")
        grid.add_row(stage.stage.value, f"{stage.seconds:.3f} s", done)
    return grid


def _grid(*, padding: int = 2) -> Table:
    grid = Table.grid(padding=(0, padding, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    return grid


def checked_at(check: Check) -> str:
    """Return when a target was checked."""
    return moment(check.at)
