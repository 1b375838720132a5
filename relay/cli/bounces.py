"""`relay bounces`: what was not delivered, why, and who should do what about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import console, fail, print_json
from relay.cli.moments import FORMS, moment
from relay.cli.reading import JsonOption, LimitOption, reading
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.core.bounce_report import ReportBy, ReportRow
    from relay.core.contacts import Contact
    from relay.core.jsonform import Json
    from relay.core.records import Bounce
    from relay.journal.api import JournalReader

app = typer.Typer(name="bounces", no_args_is_help=True, help="What was not delivered, and why.")

_PAGE = 1000
"""Bounces read at a time; a report needs no more memory however many there are."""

_HINT = "`relay bounces list` shows what there is."


@app.command("list")
def list_bounces(
    *,
    limit: LimitOption = 20,
    recipient: Annotated[
        str | None, typer.Option("--recipient", metavar="ADDRESS", help="Only of this address.")
    ] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", help="Only of addresses of this domain.")
    ] = None,
    code: Annotated[
        str | None,
        typer.Option("--code", help="Only with this code, such as 451, 4.7.5 or '451 4.7.5'."),
    ] = None,
    before: Annotated[
        str | None, typer.Option("--before", metavar="ID", help="Only older than this bounce.")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """List bounces, the newest first."""
    from relay.cli.render import bounce_list
    from relay.core.jsonform import to_json

    with reading(state, hint=_HINT) as journal:
        try:
            found = journal.bounces(
                limit, before=before, recipient=recipient, domain=domain, code=code
            )
        except ValueError as error:
            fail(str(error), hint="`relay codes` lists the codes of a policy's code book.")
    if as_json:
        print_json(to_json(found))
    elif found:
        console().print(bounce_list(found))
    elif any((recipient, domain, code, before)):
        typer.echo(f"No bounce is like that; {_HINT}")
    else:
        typer.echo(
            "No bounces yet: nothing was refused. Under Required Verify this makes one:\n"
            "  relay send anyone@expired.lab.test"
        )


@app.command("show")
def show_bounce(
    bounce_id: Annotated[
        str, typer.Argument(metavar="ID|latest", help="A bounce's id, or the beginning of it.")
    ],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a bounce: code, cause, remedy, every fault and the dialog."""
    from relay.cli.render import bounce_story
    from relay.core.jsonform import to_json
    from relay.journal.api import NotFound

    with reading(state, hint=_HINT) as journal:
        bounce = journal.bounce(bounce_id)
        session = None
        if bounce.session_id is not None and not as_json:
            try:
                session = journal.session(bounce.session_id)
            except NotFound:
                session = None
    if as_json:
        print_json(to_json(bounce))
    else:
        console().print(bounce_story(bounce, session))


@app.command("report")
def report_bounces(
    *,
    by: Annotated[
        str, typer.Option("--by", metavar="code|domain|cause|contact", help="What to count by.")
    ] = "contact",
    since: Annotated[
        str | None, typer.Option("--since", metavar="WHEN", help=f"Only from then on: {FORMS}")
    ] = None,
    state: StateOption = None,
    as_json: JsonOption = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print the rows as CSV, for a spreadsheet.")
    ] = False,
) -> None:
    """Report what bounced, the worst first.

    By contact, or counted by code, domain or cause. Final failures count, delays do not.
    Hard bounces have a code 5xx.
    """
    from relay.core.bounce_report import bounce_report

    if as_json and as_csv:
        fail("--json and --csv exclude each other")
    kind, begin = _report_by(by), moment(since, "--since")
    with reading(state, hint=_HINT) as journal:
        rows = bounce_report(_all(journal), kind, since=begin)
        contacts = _contacts(state)
    if as_json:
        print_json([_as_json(row, contacts if kind.value == "contact" else None) for row in rows])
    elif as_csv:
        _write_csv(rows, kind, contacts)
    elif rows:
        from relay.cli.bounce_view import report_table

        console().print(report_table(rows, kind, contacts))
    else:
        typer.echo(f"Nothing bounced{' in that time' if since else ''}.")


def _report_by(text: str) -> ReportBy:
    from relay.core.bounce_report import ReportBy

    try:
        return ReportBy(text.lower())
    except ValueError:
        allowed = ", ".join(known.value for known in ReportBy)
        fail(f"--by {text}: not known", hint=f"Allowed: {allowed}.")


def _all(journal: JournalReader) -> Iterator[Bounce]:
    before = None
    while page := journal.bounces(_PAGE, before=before):
        yield from page
        before = page[-1].id


def _contacts(state: Path | None) -> dict[str, list[Contact]]:
    from relay.core.contacts import address_key
    from relay.journal.contacts_store import ContactsStore

    found: dict[str, list[Contact]] = {}
    for contact in ContactsStore(StateDir.of(state).contacts).contacts():
        found.setdefault(address_key(contact.email), []).append(contact)
    return found


def _as_json(row: ReportRow, contacts: dict[str, list[Contact]] | None) -> Json:
    from relay.core.contacts import address_key
    from relay.core.jsonform import to_json

    form = to_json(row)
    assert isinstance(form, dict)
    if contacts is not None:
        form["contacts"] = to_json(contacts.get(address_key(row.what), []))
    return form


def _write_csv(
    rows: tuple[ReportRow, ...], by: ReportBy, contacts: dict[str, list[Contact]]
) -> None:
    from datetime import UTC

    from relay.core.contacts import address_key
    from relay.formats.spreadsheet import spreadsheet_csv

    head = [by.value, "bounces", "hard", "addresses", "first", "last", "latest"]
    with_contacts = by.value == "contact"
    table: list[list[str | int]] = [[*head, "records"] if with_contacts else [*head]]
    for row in rows:
        cells: list[str | int] = [row.what, row.count, row.hard, row.addresses]
        cells += [f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" for at in (row.first_at, row.last_at)]
        cells.append(row.latest)
        if with_contacts:
            of = contacts.get(address_key(row.what), ())
            cells.append("; ".join(f"{contact.object.value} {contact.id}" for contact in of))
        table.append(cells)
    typer.echo(spreadsheet_csv(table), nl=False)
