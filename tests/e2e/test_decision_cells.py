"""Each cell of Salesforce's decision table, end to end: log, bounce and notification read back."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
import typed_tables
from e2e_relay import Running, Start, TurnedClock, Watcher
from typer.testing import CliRunner

from relay.cli.app import app
from relay.core.outcomes import Delivered
from relay.core.records import BounceAction, Notified

POLICY = """
tls: {setting}
reply: queued
retry: {{delays: [24h], expire_after: 24h}}
command_timeout: 0.4s
salesforce:
  preferred_verify_on_bad_certificate: {bad}
  on_tls_failure: {on_failure}
  bounce_management: {{return_to_sender: true}}
"""
FILE = Path(__file__).with_name("decision_cells.txt")
DELIVERED = ("plain", "tls", "verified")


def tables() -> dict[str, list[dict[str, str]]]:
    """Read the file: its sections, each with a line of heads."""
    found: dict[str, list[dict[str, str]]] = {}
    for section in FILE.read_text("utf-8").split("\n[")[1:]:
        name, _, rest = section.partition("]\n")
        head, *others = typed_tables.rows(rest)
        found[name] = [dict(zip(head, row, strict=True)) for row in others]
    return found


TABLES = tables()
FAILURES = {row["letter"]: row for row in TABLES["failures"]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    host: str
    column: str
    expected: str
    stage: str

    def __str__(self) -> str:
        return f"{self.host}-{self.column}"

    @property
    def setting(self) -> str:
        return "preferred-verify" if self.column == "verify-b" else self.column

    def policy(self, on_failure: str = "retry") -> str:
        bad = "clear" if self.column == "verify-b" else "terminate"
        return POLICY.format(setting=self.setting, bad=bad, on_failure=on_failure)

    def told(self, on_failure: str) -> dict[str, str]:
        """Return what is to be read of a failure."""
        failure = FAILURES[self.expected]
        values = {
            "STATUS": failure["status"],
            "ENHANCED": failure["status"].split()[1],
            "TEXT": failure["text"],
            "STAGE": self.stage,
        }
        found = {}
        for row in TABLES["told"]:
            words = row[on_failure]
            for name, value in values.items():
                words = words.replace(name, value)
            found[row["head"]] = words
        return found


CELLS = [
    Cell(host=row["host"], column=column, expected=expected, stage=row["stage"])
    for row in TABLES["cells"]
    for column, expected in row.items()
    if column not in {"host", "stage"}
]


def log_rows(running: Running) -> list[dict[str, str]]:
    """Return the log's rows of the message itself, not those of notifications."""
    result = CliRunner().invoke(app, ["log", "export", "--state", str(running.state)])
    assert result.exit_code == 0, result.output
    own = running.record().envelope.id
    rows = csv.DictReader(io.StringIO(result.stdout))
    return [row for row in rows if row["Internal Message ID"] == own]


def about_recipient(notification: bytes) -> Message:
    """Return the block of a notification that is about its only recipient."""
    report = message_from_bytes(notification)
    assert report.get_content_type() == "multipart/report"
    status = report.get_payload(1)
    assert isinstance(status, Message)
    blocks = status.get_payload()
    assert isinstance(blocks, list)
    _, recipient = blocks
    assert isinstance(recipient, Message)
    return recipient


def test_the_table_is_whole() -> None:
    assert len(CELLS) == 19 * 6
    assert {cell.expected for cell in CELLS} == {*DELIVERED, *FAILURES}


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.expected in DELIVERED], ids=str)
async def test_a_cell_that_delivers(start: Start, cell: Cell) -> None:
    watcher = Watcher()
    async with start(cell.policy(), observer=watcher) as running:
        assert (await running.send(f"a@{cell.host}.lab.test")).code == 250
        await watcher.until(
            lambda: any(
                isinstance(entry.outcome, Delivered)
                for attempt in watcher.attempts
                for entry in attempt.outcomes
            )
        )
        (arrived,) = running.lab.messages(cell.host)
        received, row = log_rows(running)
        record = running.record()
        assert running.relay.journal.counts().messages == 1
    assert arrived.encrypted is (cell.expected != "plain")
    assert (received["Mail Event"], received["Retry Count"]) == ("R", "0")
    assert (row["Mail Event"], row["Delivery Stage"], row["Retry Count"]) == ("D", "", "0")
    assert row["Delivery Status Notification"].startswith("250 ")
    assert (row["TLS_Cipher"] == ":") is (cell.expected == "plain")
    assert row["TLS_Cipher"] == ":" or row["TLS_Cipher"].startswith("TLSv1.")
    verified = {"verified": "Verified"}.get(cell.expected, "Unverified")
    assert row["TLS_Verified"] == (verified if "verify" in cell.setting else "")
    assert row["Sender"] == arrived.reverse_path == record.envelope.sent_from
    assert record.bounces == ()


@pytest.mark.parametrize("on_failure", ["bounce-at-once", "retry"])
@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.expected in FAILURES], ids=str)
async def test_a_cell_that_bounces(start: Start, cell: Cell, on_failure: str) -> None:
    told, failure = cell.told(on_failure), FAILURES[cell.expected]
    clock, watcher = TurnedClock(), Watcher()
    async with start(cell.policy(on_failure), clock=clock, observer=watcher) as running:
        assert (await running.send(f"a@{cell.host}.lab.test")).code == 250
        await watcher.until(lambda: bool(watcher.bounces))
        if (due := watcher.bounces[0].will_retry_at) is not None:
            await clock.turn_to(due)
        await watcher.until(lambda: watcher.bounces[-1].action is BounceAction.FAILED)
        notification = await running.lab.wait_for_message("capture")
        rows, record = log_rows(running), running.record()
        assert running.lab.messages(cell.host) == ()
        for session in running.lab.received(cell.host):
            assert "MAIL" not in session.commands
    assert [row["Mail Event"] for row in rows] == told["events"].split()
    for row in rows:
        assert (row["TLS_Cipher"], row["TLS_Verified"], row["Retry Count"]) == ("", "", "0")
    for row in rows[1:-1]:
        assert row["Delivery Stage"] == cell.stage
        assert row["Delivery Status Notification"] == f"{failure['status']} {failure['text']}"
    assert rows[-1]["Delivery Stage"] == told["stage"]
    assert rows[-1]["Delivery Status Notification"] == told["log"]

    bounce = record.bounces[-1]
    assert str(bounce.status) == told["bounce"]
    assert f"{bounce.status} {bounce.text}" == told["log"]
    assert str(bounce.cause_status) == failure["status"]
    assert bounce.cause_text == failure["text"]
    assert bounce.stage.value == cell.stage
    assert bounce.setting.value == cell.setting
    assert bounce.notified is Notified.SENDER
    view = bounce.salesforce
    assert view is not None
    assert view.email_bounced_reason == told["reason"]
    assert view.email_bounced_date == bounce.at
    assert (view.kind.value, view.why.value) == (told["kind"], told["why"])
    assert view.contact_flagged
    assert view.is_bounced

    assert (notification.reverse_path, notification.recipients) == ("", ("sender@example.test",))
    about = about_recipient(notification.content)
    assert about["Final-Recipient"] == f"rfc822; a@{cell.host}.lab.test"
    assert about["Action"] == told["action"]
    assert about["Status"] == told["enhanced"]
    assert about["Diagnostic-Code"] == told["diagnostic"]
