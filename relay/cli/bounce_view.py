"""Contacts and reports of bounces for the eye: they fit 80 columns. Times are local."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from relay.cli.render import date_time, words
from relay.core.bounce_report import ReportBy, ReportRow
from relay.core.contacts import AddressBounce, Contact, ContactStatus, address_key

_HEADS = {
    ReportBy.CODE: "Code",
    ReportBy.DOMAIN: "Domain",
    ReportBy.CAUSE: "Cause",
    ReportBy.CONTACT: "Address",
}


def report_table(
    rows: Sequence[ReportRow], by: ReportBy, contacts: Mapping[str, Sequence[Contact]]
) -> RenderableType:
    """Return a report: a line of numbers for each group, and its newest words below it.

    `contacts` are by the key of their address; they are shown where that is what is counted by.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(_HEADS[by], overflow="fold", ratio=1)
    for head in ("Bounces", "Hard") if by is ReportBy.CONTACT else ("Bounces", "Hard", "Addresses"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("Last", no_wrap=True)
    for row in rows:
        what: list[RenderableType] = [words(row.what, "bold")]
        if by is ReportBy.CONTACT:
            what += [words(_who(contact)) for contact in contacts.get(address_key(row.what), ())]
        what.append(words(row.latest, "dim"))
        numbers = [str(row.count), str(row.hard)]
        if by is not ReportBy.CONTACT:
            numbers.append(str(row.addresses))
        table.add_row(Group(*what), *numbers, date_time(row.last_at)[:16])
    return table


def contact_list(statuses: Sequence[ContactStatus]) -> RenderableType:
    """Return contacts as a list: object and id, address and name, the reason of a bounce."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for status in statuses:
        contact = status.contact
        entry: list[RenderableType] = [
            Text.assemble(words(contact.email, "bold"), "  ", words(contact.name))
        ]
        if status.is_email_bounced and status.email_bounced_date is not None:
            date = date_time(status.email_bounced_date)
            entry.append(Text.assemble(("bounced", "red"), f" {date}  ", words(_reason(status))))
        grid.add_row(words(f"{contact.object.value} {contact.id}"), Group(*entry))
    return grid


def contact_story(
    email: str,
    statuses: Sequence[ContactStatus],
    flag: AddressBounce | None,
    bounces: Sequence[AddressBounce],
    cleared: str | None,
) -> RenderableType:
    """Return everything about one address: records, fields, and the bounces behind them."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    grid.add_row("Address", words(email, "bold"))
    for status in statuses:
        shown = "" if status.is_email_bounced or flag is None else ", not shown on this one"
        grid.add_row(status.contact.object.value, words(f"{_own(status.contact)}{shown}"))
    if not statuses:
        grid.add_row("Records", "none: no contact or lead with this address was imported")
    grid.add_row("IsEmailBounced", Text("true", "red") if flag else Text("false", "green"))
    if flag is not None:
        grid.add_row("EmailBouncedReason", words(flag.reason))
        grid.add_row("EmailBouncedDate", date_time(flag.at))
    if cleared is not None:
        grid.add_row("Cleared", cleared)
    for bounce in reversed(bounces):
        counts = "" if bounce.flags else ", did not flag"
        grid.add_row(
            "Bounce",
            Text.assemble(
                bounce.bounce_id,
                f"  {date_time(bounce.at)}  {bounce.kind.value}{counts}\n",
                words(bounce.reason),
            ),
        )
    return grid


def _own(contact: Contact) -> str:
    return f"{contact.id} {contact.name}".strip()


def _who(contact: Contact) -> str:
    return f"{contact.object.value} {_own(contact)}"


def _reason(status: ContactStatus) -> str:
    return status.email_bounced_reason or ""
