"""`relay lab`: the scenarios, as people read about them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from relay.cli import completion
from relay.cli.console import console, fail, print_json
from relay.cli.lab_export import lab_export, print_hosts
from relay.cli.lab_scripts import script_schema
from relay.cli.lab_serve import lab_serve

if TYPE_CHECKING:
    from relay.core.scenarios import Scenario
    from relay.core.settings import TlsSetting
    from relay.lab.dns_answers import DnsScenario
    from relay.lab.scripts import LabScenario

app = typer.Typer(
    name="lab",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Receivers that each break SMTP TLS in one way: mail to anyone@NAME.lab.test meets them.",
)

app.command("serve")(lab_serve)
app.command("export")(lab_export)
app.command("schema")(script_schema)

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


_ANSWERS_SHOWN: Final = 3
"""Records of an answer that people want to see."""


@app.command("list")
def list_scenarios(
    family: Annotated[
        str | None,
        typer.Option(
            "--family",
            autocompletion=completion.family,
            help="Only this family: honest, starttls, handshake, ...",
        ),
    ] = None,
    as_json: JsonOption = False,
    hosts: Annotated[
        bool,
        typer.Option("--hosts", help="Host, address and port of each under `relay lab serve`."),
    ] = False,
) -> None:
    """List every scenario, or those of one family."""
    from rich.table import Table
    from rich.text import Text

    from relay.core.scenarios import Family
    from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS
    from relay.lab.outlook import card_json

    families = [member.value for member in Family]
    if family is not None and family not in families:
        fail(f"there is no family {family!r}", hint=f"The families: {', '.join(families)}.")
    if hosts and as_json:
        fail("--hosts and --json exclude each other", hint="relay lab serve --json has both.")
    cards = [card for card in SCENARIOS.values() if family in {None, card.family.value}]
    if hosts:
        print_hosts([card.name for card in cards if card.name in LAB_SCENARIOS])
        return
    if as_json:
        print_json([card_json(card) for card in cards])
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("Scenario", no_wrap=True)
    table.add_column("Family", no_wrap=True)
    table.add_column("What happens there")
    for card in cards:
        table.add_row(Text(card.name, style="bold"), card.family.value, Text(card.summary))
    console().print(table)
    console().print("\nMore on one: relay lab show NAME", markup=False)


@app.command("show")
def show_scenario(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME", autocompletion=completion.scenario, help="A scenario's name."
        ),
    ],
    as_json: JsonOption = False,
) -> None:
    """Show what a scenario does, and what each setting makes of it."""
    from rich.table import Table
    from rich.text import Text

    from relay.core.advisory_cards import ADVISORIES
    from relay.core.fault_cards import FAULTS
    from relay.core.settings import TlsSetting
    from relay.lab.catalogue import (
        DNS_SCENARIOS,
        LAB_SCENARIOS,
        UnknownScenario,
        find_scenario,
    )
    from relay.lab.outlook import card_json

    try:
        card = find_scenario(name).card
    except UnknownScenario as error:
        fail(str(error), hint="All of them: relay lab list")
    if as_json:
        print_json(card_json(card))
        return
    out = console()
    out.print(Text(card.name, style="bold"))
    out.print(Text(card.summary))
    facts = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column()
    facts.add_row("In the wild", Text(card.in_the_wild))
    facts.add_row("Remedy", Text(card.remedy))
    for kind in card.faults:
        facts.add_row("Fault", Text(f"{kind.value}: {FAULTS[kind].meaning}"))
    for reported in card.advisories:
        facts.add_row("Reported", Text(f"{reported.value}: {ADVISORIES[reported].meaning}"))
    if card.stage is not None:
        facts.add_row("Stage", Text(card.stage.value))
    if name in LAB_SCENARIOS:
        facts.add_row("Certificate", Text(_certificate_words(LAB_SCENARIOS[name])))
    if name in DNS_SCENARIOS:
        for label, line in _answer_rows(DNS_SCENARIOS[name]):
            facts.add_row(label, Text(line))
        facts.add_row("Address", Text(f"anyone@{card.mail_domain}"))
    else:
        facts.add_row("Address", Text(f"anyone@{card.mail_domain}, {_host_words(card)}"))
    out.print()
    out.print(facts)
    verdicts = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    verdicts.add_column("Setting", no_wrap=True)
    verdicts.add_column("What comes of a message")
    for setting in TlsSetting:
        verdicts.add_row(setting.label, _outlook_words(card, setting))
    out.print()
    out.print(verdicts)
    out.print(f"\nTry it: relay send anyone@{card.mail_domain}", markup=False)


def _host_words(card: Scenario) -> str:
    from relay.core.scenarios import ReachedBy
    from relay.core.settings import TlsMode

    host = "reached by its IP address" if card.reached_by is ReachedBy.ADDRESS else card.host
    match card.mode:
        case TlsMode.STARTTLS:
            return f"host {host}"
        case TlsMode.IMPLICIT:
            return f"host {host} (TLS from the first octet)"


def _certificate_words(scenario: LabScenario) -> str:
    match scenario.recipes:
        case ():
            return "none is shown"
        case (recipe,):
            return f"recipe {recipe} (relay certs show {recipe})"
        case recipes:
            return f"recipes {', '.join(recipes)} (relay certs show NAME)"


def _answer_rows(scenario: DnsScenario) -> Iterator[tuple[str, str]]:
    from relay.lab.zone import answer_words

    for number, line in enumerate(answers := answer_words(scenario)):
        if number == _ANSWERS_SHOWN:
            yield "", f"and {len(answers) - number} more"
            return
        yield "" if number else "DNS answer", line


def _outlook_words(card: Scenario, setting: TlsSetting) -> str:
    from relay.core.outcomes import DnsProblem
    from relay.core.scenarios import Family, ScenarioClass
    from relay.core.settings import Protection
    from relay.core.verdicts import Deliver, RetryInClear, Terminate
    from relay.lab.outlook import foretell

    match foretell(card, setting):
        case Terminate():
            return "not delivered; nothing of it is sent"
        case Deliver() if card.family is Family.SMTP and card.scenario_class is ScenarioClass.FAULT:
            assert card.stage is not None
            return f"not delivered: the host itself ends it, {card.stage.value}"
        case Deliver(protection=Protection.CLEAR):
            return "delivered in clear text"
        case Deliver(protection=Protection.ENCRYPTED):
            return "delivered, encrypted; nobody looked at the certificate"
        case Deliver():
            return "delivered, encrypted, to a verified host"
        case RetryInClear():
            return "delivered in clear text, in a second session without TLS"
        case DnsProblem.NO_HOST:
            return "not delivered: there is no host for the domain"
        case DnsProblem.LOOKUP_FAILED:
            return "not delivered: the look-up of the domain fails"
        case DnsProblem.NULL_MX:
            return "not delivered: the domain takes no mail"
        case DnsProblem.LOOPS_BACK:
            return "not delivered: the mail would come back to the relay"
