"""A notification as the relay sends it, read by parsers that nobody here wrote."""

from __future__ import annotations

import base64
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser

import pytest
from e2e_relay import Start, text_message
from flufl.bounce import all_failures
from judge_node import Node

QUEUED = "tls: Required\nreply: queued\nretry: none\n"
RECIPIENT = "a@no-starttls.lab.test"


async def emitted(start: Start) -> bytes:
    """Return the notification that arrives at the sender's host, as that host stored it."""
    async with start(QUEUED) as running:
        assert (await running.send(RECIPIENT, mark="returned")).code == 250
        message = await running.lab.wait_for_message("capture")
        assert message.reverse_path == ""
        assert message.recipients == ("sender@example.test",)
        assert running.lab.messages("no-starttls") == ()
        return message.content


def blocks(delivery_status: str) -> list[Message]:
    """Return the groups of fields of message/delivery-status (RFC 3464 section 2.1)."""
    text = delivery_status.replace("\r\n", "\n").strip()
    return [HeaderParser().parsestr(block) for block in text.split("\n\n")]


def assert_reported(about: Message, recipient: Message) -> None:
    assert about["Reporting-MTA"] == "dns; relay.lab.test"
    assert about["Arrival-Date"]
    assert recipient["Final-Recipient"] == f"rfc822; {RECIPIENT}"
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "4.7.6"
    assert recipient["Diagnostic-Code"] == (
        "smtp; 451 4.7.6 [internal] STARTTLS required but not advertised"
    )
    assert recipient["Remote-MTA"] == "dns; mx.no-starttls.lab.test"


async def test_python_and_flufl_bounce(start: Start) -> None:
    report = message_from_bytes(await emitted(start))
    assert report.get_content_type() == "multipart/report"
    assert report.get_param("report-type") == "delivery-status"
    assert report.defects == []
    _, status, original = report.get_payload()
    assert isinstance(status, Message)
    about, recipient = status.get_payload()
    assert isinstance(about, Message)
    assert isinstance(recipient, Message)
    assert_reported(about, recipient)
    assert isinstance(original, Message)
    assert "Message-ID: <returned@example.test>" in original.get_payload()
    temporary, permanent = all_failures(report)
    assert (temporary, permanent) == (set(), {RECIPIENT.encode()})


@pytest.mark.judge("node", "npm")
async def test_nodes_mailparser(node: Node, start: Start) -> None:
    raw = base64.b64encode(await emitted(start)).decode()
    mail = await node.ask("parse.cjs", {"raw": raw})
    assert mail["contentType"] == "multipart/report"
    assert mail["reportType"] == "delivery-status"
    assert mail["from"] == "MAILER-DAEMON@relay.lab.test"
    assert mail["to"] == "sender@example.test"
    assert mail["subject"] == "Undelivered Mail Returned to Sender"
    assert mail["autoSubmitted"].startswith("auto-")
    assert f"<{RECIPIENT}>" in mail["text"]
    assert "STARTTLS required but not advertised" in mail["text"]
    status, original = mail["parts"]
    assert status["contentType"] == "message/delivery-status"
    about, recipient = blocks(base64.b64decode(status["content"]).decode("ascii"))
    assert_reported(about, recipient)
    assert original["contentType"] == "text/rfc822-headers"
    headers = base64.b64decode(original["content"]).replace(b"\r\n", b"\n")
    sent = text_message(RECIPIENT, "returned").partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")
    assert sent in headers
