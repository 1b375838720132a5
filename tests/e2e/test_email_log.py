"""The e-mail log of real runs: a day of retries, and deliveries under each protection."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import aiosmtplib
import dsn_samples
import pytest
from e2e_relay import Running, Start, TurnedClock, Watcher
from typer.testing import CliRunner, Result

from relay.cli.app import app
from relay.formats.email_log import LogRow
from relay.formats.email_log_reader import read_email_log

DAY = "tls: Required Verify\nreply: queued\nretry: salesforce\n"
GAPS = (0, 5, 10, 20, 40, 80, 160, 320, 640)
"""Minutes between tries, Knowledge 000385127."""
REFUSED = "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA"
COLUMNS = (
    "Date/Time,Internal Message ID,Mail Event,Recipient,Sender,Remote Host,Bytes Transferred,"
    "User ID,Message ID Header,Retry Count,Seconds in Queue,Delivery Stage,Relay Address,"
    "Relay Port,Delivery Status Notification,TLS_Cipher,TLS_Verified"
)


def export(running: Running, *words: str) -> Result:
    return CliRunner().invoke(app, ["log", "export", *words, "--state", str(running.state)])


def table(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


async def test_every_row_of_a_day_of_retries(start: Start) -> None:
    clock, watcher = TurnedClock(), Watcher()
    async with start(DAY, clock=clock, observer=watcher) as running:
        assert (await running.send("a@expired.lab.test")).code == 250
        for number in range(1, 10):
            await watcher.until(lambda n=number: len(watcher.bounces) == n)
            until = watcher.bounces[-1].will_retry_at
            assert until is not None
            await clock.turn_to(until)
        await watcher.until(lambda: len(watcher.bounces) == 10)
        await running.lab.wait_for_message("capture")
        result = export(running)
        envelope = running.record().envelope
    assert result.stdout.splitlines()[0] == COLUMNS
    log = [row for row in table(result) if row["Internal Message ID"] == envelope.id]
    seconds = [sum(GAPS[: n + 1]) * 60 for n in range(9)]
    assert [
        (row["Mail Event"], row["Retry Count"], row["Delivery Stage"]) for row in log
    ] == [
        ("R", "0", ""),
        *[("T", str(n), "handshaking TLS") for n in range(9)],
        ("P", "8", "while not connected"),
    ]  # fmt: skip
    assert [int(row["Seconds in Queue"]) for row in log] == [0, *seconds, 24 * 3600]
    assert [row["Delivery Status Notification"] for row in log] == [
        "",
        *[REFUSED] * 9,
        "554 5.4.7 [internal] exceeded max time without delivery",
    ]
    received = envelope.received_at
    minutes = [received, *(received + timedelta(seconds=s) for s in (*seconds, 24 * 3600))]
    assert [row["Date/Time"] for row in log] == [
        f"{at.month}/{at:%d/%Y %H:%M}" for at in minutes
    ]  # fmt: skip
    for row in log:
        assert row["Recipient"] == "a@expired.lab.test"
        assert row["Sender"] == "sender@example.test"
        assert row["Remote Host"] == "127.0.0.1"
        assert row["Bytes Transferred"] == str(envelope.size)
        assert row["Message ID Header"] == "<hello@example.test>"
        assert (row["User ID"], row["TLS_Cipher"], row["TLS_Verified"]) == ("", "", "")
    for row in log[1:]:
        assert row["Relay Address"] == "127.0.0.1"
        assert int(row["Relay Port"]) > 0


@pytest.mark.parametrize(
    ("setting", "scenario", "cipher", "verified"),
    [
        ("Required Verify", "good", "TLSv1.", "Verified"),
        ("Required", "good", "TLSv1.", ""),
        ("Preferred", "no-starttls", ":", ""),
        ("Preferred Verify", "no-starttls", ":", "Unverified"),
        ("Off", "good", ":", ""),
    ],
)
async def test_the_tls_columns_of_real_deliveries(
    start: Start, setting: str, scenario: str, cipher: str, verified: str
) -> None:
    async with start(f"tls: {setting}\n") as running:
        assert (await running.send(f"a@{scenario}.lab.test")).code == 250
        received, delivered = table(export(running))
    assert received["Mail Event"] == "R"
    assert (received["TLS_Cipher"], received["TLS_Verified"]) == ("", "")
    assert delivered["Mail Event"] == "D"
    assert delivered["TLS_Cipher"].startswith(cipher)
    assert (delivered["TLS_Cipher"] == ":") is (cipher == ":")
    assert delivered["TLS_Verified"] == verified
    assert delivered["Delivery Status Notification"].startswith("250 ")


@pytest.mark.parametrize(
    ("scenario", "event", "stage"),
    [
        ("no-starttls", "T", "after EHLO"),
        ("starttls-refused", "T", "during STARTTLS"),
        ("handshake-drop", "T", "handshaking TLS"),
        ("wrong-host", "T", "handshaking TLS"),
        ("user-unknown", "P", "during RCPT TO"),
        ("greeting-silence", "T", "reading BANNER"),
    ],
)
async def test_the_stage_of_each_failure(
    start: Start, scenario: str, event: str, stage: str
) -> None:
    """The clients of this policy are told at once: they keep what failed for now."""
    async with start("tls: Required Verify\ncommand_timeout: 0.5s\n") as r:
        await r.send(f"a@{scenario}.lab.test")
        _, failed = table(export(r))
    assert (failed["Mail Event"], failed["Delivery Stage"]) == (event, stage)


async def test_the_log_as_a_user_gets_it(start: Start) -> None:
    async with start("required") as running:
        await running.send("a@good.lab.test", mark="one")
        await running.send("a@no-starttls.lab.test", "b@good.lab.test", mark="two")
        file = running.state / "log.csv"
        told = export(running, "--output", str(file))
        assert told.exit_code == 0
        assert "rows in" in told.stderr
        with file.open(newline="") as lines:
            found = list(read_email_log(lines, file="log.csv"))
        assert all(isinstance(row, LogRow) for row in found)
        of_two = [r for r in found if isinstance(r, LogRow) and "two" in r.message_id_header]
        assert sorted((r.event.value, r.recipient) for r in of_two) == [
            ("D", "b@good.lab.test"), ("P", "a@no-starttls.lab.test"),
            ("R", "a@no-starttls.lab.test"), ("R", "b@good.lab.test"),
        ]  # fmt: skip
        as_json = [json.loads(line) for line in export(running, "--json").stdout.splitlines()]
        assert [line["event"] for line in as_json] == [
            r.event.value for r in found if isinstance(r, LogRow)
        ]  # fmt: skip
        assert table(export(running, "--until", "1d")) == []
        assert len(table(export(running, "--since", "1d"))) == len(found)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--since", "soon"), "--since soon: not a time"),
        (("--until", "2026-13-01"), "not a time"),
        (("--since", "2026-03-02", "--until", "2026-03-01"), "is not before"),
    ],
)
def test_a_time_that_is_none_is_refused(words: tuple[str, ...], says: str) -> None:
    result = CliRunner().invoke(app, ["log", "export", *words])
    assert result.exit_code == 2
    assert says in result.stderr


async def test_a_file_that_can_not_be_written_leaves_nothing(start: Start) -> None:
    async with start("off") as running:
        missing = running.state / "nowhere" / "log.csv"
        result = export(running, "--output", str(missing))
    assert result.exit_code == 2
    assert "No such file" in result.stderr


async def test_what_is_dropped_below_invalid_was_handed_over_inside(start: Start) -> None:
    policy = "tls: Required Verify\nsalesforce: {invalid_domains: discard}\n"
    async with start(policy) as running:
        assert (await running.send("x@anything.invalid")).code == 250
        _, row = table(export(running))
    assert (row["Mail Event"], row["TLS_Cipher"], row["TLS_Verified"]) == ("D", "None", "")
    assert (row["Relay Address"], row["Relay Port"]) == ("", "")


async def test_with_bounce_management_the_sender_is_its_path_and_a_return_is_out_of_band(
    start: Start,
) -> None:
    policy = "tls: Preferred\nretry: none\nsalesforce: {bounce_management: {}}\n"
    async with start(policy) as running:
        await running.send("bob@partner.test")
        taken = await running.lab.wait_for_message("capture")
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=running.port(), start_tls=False, local_hostname="mx.test"
        )
        async with client:
            await client.mail("")
            await client.rcpt(taken.reverse_path)
            await client.data(dsn_samples.POSTFIX)
        log = [row for row in table(export(running)) if row["Recipient"] == "bob@partner.test"]
    assert [row["Mail Event"] for row in log] == ["R", "D", "P"]
    assert {row["Sender"] for row in log} == {taken.reverse_path}
    assert taken.reverse_path.startswith("sender=example.test__")
    assert log[-1]["Delivery Stage"] == "out of band bounce"
    assert log[-1]["Delivery Status Notification"].startswith("550 5.1.1")


def test_without_a_journal_there_is_no_log(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["log", "export", "--state", str(tmp_path / "nothing")])
    assert (result.exit_code, result.stdout) == (3, "")
    assert "Start one with `relay serve`." in result.stderr
