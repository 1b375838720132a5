"""`relay contacts` and `relay bounces report` on journals that the tests fill."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import record_builders as build
from journal_records import a_bounce, a_message
from typer.testing import CliRunner, Result

from relay.cli.app import app
from relay.core.outcomes import Stage
from relay.core.records import Reading, Returned
from relay.core.replies import StatusCode
from relay.core.salesforce_view import BounceKind
from relay.journal.api import Batch
from relay.journal.sqlite_journal import open_journal

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIEW = build.view(reason="550 5.1.1 no such user", at=AT)
CONTACTS = "Id,Email,FirstName,Object\n1,Ann@b.test,Ann,\n2,ann@b.test,,Lead\n3,eve@b.test,Eve,\n"


def run(state: Path, *words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, [*words, "--state", str(state)], input=stdin)


@pytest.fixture
def filled(tmp_path: Path) -> Path:
    """A state directory with three contacts, a hard bounce of Ann and a soft one of somebody."""

    async def fill() -> None:
        async with open_journal(tmp_path / "journal.sqlite3", bounce_lines=None) as journal:
            soft = replace(VIEW, kind=BounceKind.SOFT, contact_flagged=False)
            await journal.writer.write(
                Batch(
                    messages=(a_message(1),),
                    bounces=(
                        a_bounce(
                            1,
                            recipient="ann@B.test",
                            status=StatusCode(550, "5.1.1"),
                            text="no such user",
                            at=AT,
                            salesforce=VIEW,
                        ),
                        a_bounce(
                            2,
                            recipient="x@c.test",
                            status=StatusCode(451, "4.7.5"),
                            at=AT + timedelta(hours=1),
                            salesforce=soft,
                        ),
                    ),
                )
            )

    asyncio.run(fill())
    assert run(tmp_path, "contacts", "import", "-", stdin=CONTACTS).output == (
        "3 added, 0 updated\n"
    )
    return tmp_path


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.output, newline="")))


def test_nothing_is_imported_unless_all_is_good(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("Id,Email\n1,a@b.test\n,c@d.test\n2,nonsense\n")
    refused = run(tmp_path, "contacts", "import", str(file))
    assert refused.exit_code == 2
    assert f"{file}:3: the Id is empty" in refused.stderr
    assert f"{file}:4: the Email 'nonsense' is no address" in refused.stderr
    assert "nothing was imported: 2 bad rows" in refused.stderr
    assert "No contacts yet" in run(tmp_path, "contacts", "list").output
    done = run(tmp_path, "contacts", "import", str(file), "--skip-bad", "--object", "lead")
    assert done.exit_code == 0
    assert "1 added, 0 updated, 2 skipped" in done.output
    assert [row["Object"] for row in rows(run(tmp_path, "contacts", "export"))] == ["Lead"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("nowhere.csv",), "nowhere.csv: No such file"),
        (("-", "--object", "Account"), "--object Account: not known"),
    ],
)
def test_what_can_not_be_imported(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    result = run(tmp_path, "contacts", "import", *words, stdin=CONTACTS)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_list_shows_salesforce_s_fields_on_every_match(filled: Path) -> None:
    found = rows(run(filled, "contacts", "list", "--csv"))
    assert [(row["Object"], row["Id"], row["IsEmailBounced"]) for row in found] == [
        ("Contact", "1", "true"),
        ("Lead", "2", "true"),
        ("Contact", "3", "false"),
    ]
    assert found[0]["EmailBouncedReason"] == "550 5.1.1 no such user"
    assert found[0]["EmailBouncedDate"] == "2026-03-01T12:00:00Z"
    assert found[2]["EmailBouncedReason"] == ""
    bounced = json.loads(run(filled, "contacts", "list", "--bounced", "--json").output)
    assert [entry["contact"]["id"] for entry in bounced] == ["1", "2"]
    assert bounced[0]["email_bounced_reason"] == "550 5.1.1 no such user"
    shown = run(filled, "contacts", "list").output
    assert "550 5.1.1 no such user" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_show_and_clear(filled: Path) -> None:
    shown = run(filled, "contacts", "show", "ANN@b.test")
    assert "IsEmailBounced      true" in shown.output
    assert "550 5.1.1 no such user" in shown.output
    cleared = run(filled, "contacts", "clear", "ANN@b.test")
    assert cleared.exit_code == 0
    assert "550 5.1.1 no such user" in cleared.output
    assert "is not flagged" in run(filled, "contacts", "clear", "ann@b.test").output
    assert "No contact is flagged" in run(filled, "contacts", "list", "--bounced").output
    again = json.loads(run(filled, "contacts", "show", "ann@b.test", "--json").output)
    assert again["is_email_bounced"] is False
    assert again["cleared_at"] is not None
    assert len(again["bounces"]) == 1


def test_nobody_knows_this_address(filled: Path) -> None:
    assert run(filled, "contacts", "show", "nobody@b.test").exit_code == 3
    assert run(filled, "contacts", "clear", "nonsense").exit_code == 2


def test_contacts_before_any_relay_served(tmp_path: Path) -> None:
    run(tmp_path, "contacts", "import", "-", stdin=CONTACTS)
    assert len(rows(run(tmp_path, "contacts", "export"))) == 3


def test_what_contacts_are_exported_to_gets_their_cells_as_they_are(tmp_path: Path) -> None:
    """`relay contacts import` reads them again, and Salesforce does, too."""
    (tmp_path / "second").mkdir()
    given = "Id,Email,FirstName\n1,=ann@b.test,+Ann\n"
    run(tmp_path, "contacts", "import", "-", stdin=given)
    exported = run(tmp_path, "contacts", "export").output
    run(tmp_path / "second", "contacts", "import", "-", stdin=exported)
    (again,) = rows(run(tmp_path / "second", "contacts", "list", "--csv"))
    assert (again["Email"], again["FirstName"]) == ("=ann@b.test", "+Ann")


def test_a_spreadsheet_takes_nothing_in_the_report_for_a_formula(filled: Path) -> None:
    async def bounce() -> None:
        async with open_journal(filled / "journal.sqlite3", bounce_lines=None) as journal:
            await journal.writer.write(Batch(bounces=(a_bounce(3, recipient="=cmd@d.test"),)))

    asyncio.run(bounce())
    found = rows(run(filled, "bounces", "report", "--csv"))
    assert [row["contact"] for row in found if "cmd" in row["contact"]] == ["'=cmd@d.test"]
    told = json.loads(run(filled, "bounces", "report", "--json").output)
    assert "=cmd@d.test" in [row["what"] for row in told]


def test_the_report_of_contacts_that_bounced(filled: Path) -> None:
    table = run(filled, "bounces", "report").output
    assert max(map(len, table.splitlines())) <= 80
    assert "Contact 1 Ann" in table
    assert "Lead 2" in table
    ann = rows(run(filled, "bounces", "report", "--csv"))[1]
    assert ann == {
        "contact": "ann@B.test",
        "bounces": "1",
        "hard": "1",
        "addresses": "1",
        "first": "2026-03-01T12:00:00Z",
        "last": "2026-03-01T12:00:00Z",
        "latest": "550 5.1.1 no such user",
        "records": "Contact 1; Lead 2",
    }
    found = json.loads(run(filled, "bounces", "report", "--json").output)
    assert [contact["id"] for contact in found[1]["contacts"]] == ["1", "2"]


def test_the_report_by_others_and_since(filled: Path) -> None:
    by_code = rows(run(filled, "bounces", "report", "--by", "code", "--csv"))
    assert [row["code"] for row in by_code] == ["451 4.7.5", "550 5.1.1"]
    late = run(
        filled, "bounces", "report", "--by", "domain", "--since", "2026-03-01T12:30", "--csv"
    )
    assert [row["domain"] for row in rows(late)] == ["c.test"]
    assert (
        "Nothing bounced in that time."
        in run(filled, "bounces", "report", "--since", "2099-01-01").output
    )


@pytest.mark.parametrize(
    "words",
    [("--by", "colour"), ("--since", "yesterday"), ("--json", "--csv")],
)
def test_a_report_of_nothing_that_is_known(filled: Path, words: tuple[str, ...]) -> None:
    assert run(filled, "bounces", "report", *words).exit_code == 2


async def test_what_came_back_is_told_of_in_the_message_and_in_the_bounce(tmp_path: Path) -> None:
    path = "app=crm.test__1m803tgcngvkfmkf9@bnc.relay.test"
    returned = Returned(message_id="m1", recipient=path, reading=Reading.UNREADABLE)
    async with open_journal(tmp_path / "journal.sqlite3", bounce_lines=None) as journal:
        await journal.writer.write(
            Batch(
                messages=(a_message(1, sent_from=path), a_message(2, returned=(returned,))),
                bounces=(
                    a_bounce(
                        1,
                        address=None,
                        host="mx.b.test",
                        returned_in="m2",
                        salesforce=VIEW,
                        session_id=None,
                        stage=Stage.OUT_OF_BAND,
                    ),
                ),
            )
        )
    first = run(tmp_path, "messages", "show", f"m{1:016d}").output
    assert f"Sent from   {path}" in first
    second = run(tmp_path, "messages", "show", f"m{2:016d}").output
    assert "to message m1, read as unreadable" in second
    shown = " ".join(run(tmp_path, "bounces", "show", "latest").output.split())
    assert "Host mx.b.test Stage out of band bounce" in shown
    assert "Reported in message m2" in shown
    assert "hard bounce, contact flagged: Every failed delivery flags the contact." in shown
