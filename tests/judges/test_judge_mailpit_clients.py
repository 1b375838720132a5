"""Mailpit's clients, as published, read this relay's mail and don't notice."""

from __future__ import annotations

import os
import smtplib
import subprocess
import sys
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from e2e_command import ServingProcess, serving
from judge_node import Node

SUITE = """
import smtplib
from email.message import EmailMessage

import pytest
from pytest_mailpit.errors import MailpitAssertionError


def send(smtp, to, subject, **headers):
    message = EmailMessage()
    message["From"] = "shop@app.test"
    message["To"] = to
    message["Subject"] = subject
    for name, value in headers.items():
        message[name.replace("_", "-")] = value
    message.set_content("Your code is 482913. See https://app.test/x?a=1&b=2 for more.")
    message.add_alternative("<p>Code <b>482913</b> <a href='https://app.test/x'>Open</a></p>",
                            subtype="html")
    message.add_attachment(b"%PDF", "application", "pdf", filename="invoice-7.pdf")
    with smtplib.SMTP(smtp.host, smtp.port) as client:
        client.send_message(message)


def test_an_inbox(mailpit_inbox, mailpit_smtp, mailpit):
    since = mailpit.server_time()
    send(mailpit_smtp, str(mailpit_inbox), "Your code",
         List_Unsubscribe="<https://app.test/u>",
         List_Unsubscribe_Post="List-Unsubscribe=One-Click")
    message = mailpit_inbox.wait_for_message(subject="code", sender="shop@app.test")
    assert message.code() == "482913"
    assert message.link(text="open") == "https://app.test/x"
    attachment = message.attachment("invoice-*.pdf", content_type="application/pdf")
    assert mailpit.get_attachment(attachment) == b"%PDF"
    assert attachment.checksums["MD5"]
    assert message.unsubscribe_link(one_click=True) == "https://app.test/u"
    assert mailpit.get_headers(message.id)["Subject"] == ["Your code"]
    assert b"Subject: Your code" in mailpit.get_raw(message.id)
    assert message.return_path == "shop@app.test"
    assert mailpit_inbox.messages()[0].read
    mailpit.wait_for_message(recipient=str(mailpit_inbox), since=since)
    mailpit.set_tags([message.id], ["checked"])
    assert mailpit.wait_for_message(tag="checked").id == message.id
    mailpit_inbox.assert_no_message(subject="another", within=0.1)
    assert mailpit.info().messages >= 1
    assert mailpit.is_ready()


def test_two_inboxes_do_not_meet(mailpit_inbox_factory, mailpit_smtp):
    one, two = mailpit_inbox_factory(), mailpit_inbox_factory()
    send(mailpit_smtp, str(one), "to one")
    send(mailpit_smtp, str(two), "to two")
    send(mailpit_smtp, str(one), "to one again")
    assert [m.subject for m in one.wait_for_messages(2)] == ["to one", "to one again"]
    assert two.wait_for_message().subject == "to two"
    one.clear()
    assert one.messages() == []
    assert len(two.messages()) == 1


def test_what_did_not_come_fails(mailpit_inbox):
    with pytest.raises(MailpitAssertionError, match="none arrived"):
        mailpit_inbox.wait_for_message(timeout=0)


def test_everything_was_cleaned_up(mailpit):
    assert mailpit.messages().total == 0
    mailpit.delete_all()
"""


@pytest.fixture
def relay(tmp_path: Path) -> Iterator[ServingProcess]:
    with serving(tmp_path / "state", "--web", "--web-port", "0") as running:
        yield running


def test_pytest_mailpit_runs_a_suite_against_us(tmp_path: Path, relay: ServingProcess) -> None:
    (tmp_path / "test_shop.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmailpit_poll_interval = 0.05\n")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "MAILPIT"))}
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:asyncio", "-p", "no:cacheprovider", "-q",
         "-W", "error", f"--mailpit-url={relay.note.web}"],
        cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False,
        env={**kept, "MAILPIT_SMTP": f"127.0.0.1:{relay.port()}", "NO_PROXY": "127.0.0.1"},
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    assert "4 passed" in run.stdout


@pytest.mark.judge("node", "npm")
async def test_mailpit_api_reads_marks_tags_and_deletes(node: Node, relay: ServingProcess) -> None:
    for subject in ("first", "wanted"):
        message = EmailMessage()
        message["From"], message["To"] = "Ann Lee <ann@app.test>", "b@good.lab.test"
        message["Subject"] = subject
        message.set_content("plain words")
        message.add_alternative("<p>rich words</p>", subtype="html")
        message.add_attachment("a,b", subtype="csv", filename="t.csv")
        with smtplib.SMTP("127.0.0.1", relay.port()) as client:
            client.send_message(message)
    told = await node.ask("mailpit.cjs", {"url": relay.note.web, "query": "subject:wanted"})
    assert told["waited"]["Subject"] == "wanted"
    assert told["waited"]["From"] == {"Name": "Ann Lee", "Address": "ann@app.test"}
    assert told["waited"]["Relaylab"]["Verdict"] == "delivered"
    assert told["info"]["Messages"] == 2
    assert told["webui"]["ChaosEnabled"] is False
    assert [m["Subject"] for m in told["list"]["messages"]] == ["wanted"]
    assert told["list"]["total"] == 2
    assert told["found"]["messages_count"] == 1
    assert told["headers"]["Subject"] == ["wanted"]
    assert "Subject: wanted\r\n" in told["source"]
    assert told["attachment"]["type"].startswith("text/csv")
    assert told["attachment"]["text"].strip() == "a,b"
    assert told["html"].strip() == "<p>rich words</p>"
    assert told["text"].strip() == "plain words"
    assert (told["marked"], told["unread"]) == ("ok", 2)
    assert (told["tagged"], told["tags"]) == ("ok", ["new one"])
    assert "400" in told["chaos"]
    assert "Chaos is not enabled" in told["chaos"]
    assert "404" in told["missing"]
    assert (told["deletedFound"], told["left"]) == ("ok", 1)
    assert (told["deletedOne"], told["deletedAll"]) == ("ok", "ok")
    assert told["none"]["total"] == 0
