"""What `relay send` tells: the story of a message, its exit code, and what shows more."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from relay.cli.console import ExitCode, console
from relay.cli.state import StateDir

if TYPE_CHECKING:
    from relay.core.jsonform import Json
    from relay.core.replies import Reply
    from relay.journal.api import MessageRecord


def exit_code(reply: Reply, record: MessageRecord | None) -> ExitCode:
    """Return how the command ends: 1 where the message was refused or bounced."""
    from relay.journal.api import RecipientState

    if not reply.positive:
        return ExitCode.FINDING
    bounced = record is not None and any(
        status.state is RecipientState.FAILED for status in record.recipients
    )
    return ExitCode.FINDING if bounced else ExitCode.AS_EXPECTED


def as_json(reply: Reply, record: MessageRecord | None) -> Json:
    """Return the reply and the records."""
    from relay.core.jsonform import to_json

    return {"reply": to_json(reply), "message": to_json(record)}


def follow(record: MessageRecord | None, recipients: list[str], where: StateDir) -> str:
    """Return the command that shows more; empty where there is no record."""
    from relay.audit.story import bounce_of
    from relay.cli.banner import command

    if record is None:
        return ""
    bounces = [b for r in recipients if (b := bounce_of(record, r)) is not None]
    shown = f"bounces show {bounces[-1].id}" if bounces else f"messages show {record.envelope.id}"
    return command(where, sys.argv[0], shown)


def tell(reply: Reply, record: MessageRecord | None, recipients: list[str], follow: str) -> None:
    """Print the story of each recipient; `follow` is what to do next, if anything."""
    from rich.table import Table
    from rich.text import Text

    from relay.audit.story import story
    from relay.cli.render import words as shown

    out = console()
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")

    def row(head: str, words: str) -> None:
        table.add_row(Text(head, style="bold"), shown(words))

    row("Reply", str(reply))
    for recipient in recipients:
        row("To", recipient)
        for head, words in story(record, recipient) if record else ():
            if words != str(reply):  # the code that the client was told itself
                row(head, words)
    if exit_code(reply, record) is ExitCode.FINDING:
        for words in _no_scenarios(recipients):
            row("Note", words)
    if follow:
        row("Next", follow)
    out.print(table)


def _no_scenarios(recipients: list[str]) -> Iterator[str]:
    """Tell of domains below lab.test that no scenario has: misspelt ones, as a rule."""
    from relay.core.addresses import parse_address
    from relay.core.routing import LAB_DOMAIN
    from relay.lab.catalogue import SCENARIOS, UnknownScenario

    for domain in dict.fromkeys(str(parse_address(each).domain) for each in recipients):
        name = domain.removesuffix(f".{LAB_DOMAIN}")
        if name != domain and name not in SCENARIOS:
            yield f"{UnknownScenario(name)} (all of them: relay lab list)"
