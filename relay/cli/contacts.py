"""`relay contacts`: contacts and leads, and what bounces made of them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relay.cli.console import ExitCode, console, fail, print_json
from relay.cli.reading import JsonOption
from relay.cli.state import StateDir, StateOption

if TYPE_CHECKING:
    from relay.core.contacts import AddressBounce, ContactObject, ContactStatus
    from relay.formats.contacts_csv import ContactsFile
    from relay.journal.contacts_store import ContactsStore

app = typer.Typer(
    name="contacts", no_args_is_help=True, help="Contacts and leads, and which of them bounced."
)

_AS_CSV = Annotated[bool, typer.Option("--csv", help="Print them as CSV, in Salesforce's columns.")]
_BOUNCED = Annotated[bool, typer.Option("--bounced", help="Only those that are flagged.")]


@app.command("import")
def import_contacts(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A CSV file; - reads it from stdin.")
    ],
    *,
    kind: Annotated[
        str,
        typer.Option("--object", metavar="Contact|Lead", help="Of rows that name no Object."),
    ] = "Contact",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good rows in spite of bad ones.")
    ] = False,
    state: StateOption = None,
) -> None:
    """Import contacts and leads, also beside a running relay.

    A known Id is updated. The columns are Id and Email, and if you like FirstName, LastName and
    Object; others are passed over. Unless all rows are good, nothing is imported.
    """
    from relay.formats.contacts_csv import read_contacts

    found = read_contacts(_text(file), default=_object(kind))
    _report_problems(file, found, skipping=skip_bad)
    with _errors():
        done = _store(state).add(found.contacts)
    skipped = f", {len(found.problems)} skipped" if found.problems else ""
    typer.echo(f"{done.added} added, {done.updated} updated{skipped}")


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except OSError as error:
        fail(f"{file}: {error.strerror or error}")
    except UnicodeDecodeError:
        fail(f"{file}: this is not UTF-8", hint="Export it as UTF-8.")


def _object(text: str) -> ContactObject:
    from relay.core.contacts import ContactObject

    named = {known.value.lower(): known for known in ContactObject}
    if text.lower() not in named:
        fail(f"--object {text}: not known", hint="Allowed: Contact, Lead.")
    return named[text.lower()]


def _report_problems(file: Path, found: ContactsFile, *, skipping: bool) -> None:
    for problem in found.problems:
        typer.echo(f"{file}:{problem.line}: {problem.message}", err=True)
    if not found.problems or (skipping and found.contacts):
        return
    count = len(found.problems)
    fail(
        f"nothing was imported: {count} bad row{'s' if count > 1 else ''}",
        hint="Correct them, or import the others with --skip-bad." if found.contacts else None,
    )


@app.command("list")
def list_contacts(
    *,
    bounced: _BOUNCED = False,
    state: StateOption = None,
    as_json: JsonOption = False,
    as_csv: _AS_CSV = False,
) -> None:
    """List contacts and leads with Salesforce's fields about bounces."""
    from relay.core.jsonform import to_json

    if as_json and as_csv:
        fail("--json and --csv exclude each other")
    statuses = _statuses(state, bounced=bounced)
    if as_json:
        print_json(to_json(statuses))
    elif as_csv:
        _write_csv(statuses)
    elif statuses:
        from relay.cli.bounce_view import contact_list

        console().print(contact_list(statuses))
    elif bounced:
        typer.echo("No contact is flagged. `relay bounces report` shows what bounced.")
    else:
        typer.echo(
            "No contacts yet. Import some, with at least the columns Id and Email:\n"
            "  relay contacts import contacts.csv"
        )


@app.command("export")
def export_contacts(*, bounced: _BOUNCED = False, state: StateOption = None) -> None:
    """Write contacts and leads as CSV, in Salesforce's columns."""
    _write_csv(_statuses(state, bounced=bounced))


@app.command("show")
def show_contact(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="An address, in any case.")],
    *,
    state: StateOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show an address: contacts, leads, and which bounces flagged it."""
    from relay.core.contacts import contact_statuses, flag_of
    from relay.core.jsonform import to_json

    with _errors():
        store = _store(state)
        contacts, cleared = store.contacts(email), store.cleared()
        cleared_at = store.cleared_at(email)
    bounces = _bounces(state, email)
    if not contacts and not bounces and cleared_at is None:
        fail(
            f"nothing is known of {email}",
            hint="`relay contacts list` shows who was imported.",
            code=ExitCode.UNDETERMINED,
        )
    statuses = contact_statuses(contacts, bounces, cleared)
    flag = flag_of(bounces, cleared_at)
    if as_json:
        print_json(
            {
                "email": email,
                "is_email_bounced": flag is not None,
                "contacts": to_json(statuses),
                "bounces": to_json(bounces),
                "cleared_at": to_json(cleared_at),
            }
        )
        return
    from relay.cli.bounce_view import contact_story
    from relay.cli.render import date_time

    when = date_time(cleared_at) if cleared_at else None
    console().print(contact_story(email, statuses, flag, bounces, when))


@app.command("clear")
def clear_contact(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="An address, in any case.")],
    *,
    state: StateOption = None,
) -> None:
    """Confirm an address: flagged no longer, it gets mail again."""
    from datetime import UTC, datetime

    from rich.padding import Padding

    from relay.cli.render import words
    from relay.core.addresses import parse_address
    from relay.core.contacts import flag_of

    try:
        parse_address(email)
    except ValueError as error:
        fail(f"{email}: {error}")
    with _errors():
        store = _store(state)
        flag = flag_of(_bounces(state, email), store.cleared_at(email))
        if flag is None:
            typer.echo(f"{email} is not flagged")
            return
        store.clear(email, datetime.now(UTC))
    typer.echo(f"{email} is confirmed. It was flagged:")
    console().print(Padding(words(flag.reason), (0, 0, 0, 2)))


def _store(state: Path | None) -> ContactsStore:
    from relay.journal.contacts_store import ContactsStore

    return ContactsStore(StateDir.of(state).contacts)


def _bounces(state: Path | None, email: str | None = None) -> tuple[AddressBounce, ...]:
    """Return what was counted; nothing where no relay has served from this directory yet."""
    from relay.journal.api import NoJournal
    from relay.journal.sqlite_reader import open_reader

    with _errors():
        try:
            with closing(open_reader(StateDir.of(state).journal)) as journal:
                return journal.address_bounces(email)
        except NoJournal:
            return ()


def _statuses(state: Path | None, *, bounced: bool) -> tuple[ContactStatus, ...]:
    from relay.core.contacts import contact_statuses

    with _errors():
        store = _store(state)
        contacts, cleared = store.contacts(), store.cleared()
    found = contact_statuses(contacts, _bounces(state), cleared)
    return tuple(s for s in found if s.is_email_bounced or not bounced)


def _write_csv(statuses: Iterable[ContactStatus]) -> None:
    from relay.formats.contacts_csv import write_contacts

    for line in write_contacts(statuses):
        typer.echo(line, nl=False)


@contextmanager
def _errors() -> Iterator[None]:
    """End the command with one line where a file can't be used."""
    from relay.journal.api import JournalError

    try:
        yield
    except JournalError as error:
        fail(str(error), code=ExitCode.UNDETERMINED)
