"""Salesforce's compliance settings end to end: reverse path, Sender field, hidden copy."""

from __future__ import annotations

import asyncio
from email import message_from_bytes

import aiosmtplib
import dsn_samples
from e2e_relay import Running, Start, Watcher
from typer.testing import CliRunner

from relay.cli.app import app
from relay.core.records import Notified
from relay.core.salesforce_view import FlagReason
from relay.journal.api import RecipientState

BOB = "bob@partner.test"
ARCHIVE = "archive@compliance.test"


async def submit(running: Running, to: str, content: bytes, *, sender: str = "") -> int:
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1", port=running.port(), start_tls=False, local_hostname="mx.test"
    )
    async with client:
        await client.mail(sender)
        await client.rcpt(to)
        code, _ = await client.data(content)
    return code


async def arrived(running: Running, number: int) -> None:
    async with asyncio.timeout(20):
        while len(running.lab.messages("capture")) < number:
            await running.lab.wait_for_message("capture")


async def test_spf_compliance_gives_mail_a_path_of_ours_and_hands_on_what_comes_back(
    start: Start,
) -> None:
    watcher = Watcher()
    policy = "tls: Preferred\nsalesforce: {spf_compliance: true}\n"
    async with start(policy, observer=watcher) as running:
        await running.send(BOB)
        path = running.lab.messages("capture")[0].reverse_path
        own = running.record().envelope
        assert path == f"sender=example.test__{own.id}@bnc.relay.test" == own.sent_from
        assert await submit(running, path, dsn_samples.POSTFIX) == 250
        await watcher.until(lambda: len(watcher.attempts) == 2)
        forwarded = running.lab.messages("capture")[-1]
        assert forwarded.recipients == ("sender@example.test",)
        assert forwarded.content.endswith(dsn_samples.POSTFIX)
        (bounce,) = running.record().bounces
        assert bounce.notified is Notified.SENDER
        assert bounce.salesforce is not None
        assert bounce.salesforce.why is FlagReason.NOT_ACTIVE
        client = aiosmtplib.SMTP(hostname="127.0.0.1", port=running.port(), start_tls=False)
        async with client:
            await client.mail("")
            code = None
            try:
                await client.rcpt("anybody@bnc.relay.test")
            except aiosmtplib.SMTPRecipientRefused as refused:
                code = refused.code
        assert code == 550


async def test_sender_id_compliance_adds_a_sender_field_to_mail_without_one(start: Start) -> None:
    policy = "tls: Preferred\nsalesforce: {sender_id_compliance: true}\n"
    plain = b"From: a@example.test\r\nMessage-ID: <1@x>\r\n\r\nhi\r\n"
    own = b"From: a@example.test\r\nsender: b@example.test\r\nMessage-ID: <2@x>\r\n\r\nhi\r\n"
    async with start(policy) as running:
        await submit(running, BOB, plain, sender="a@example.test")
        await submit(running, BOB, own, sender="a@example.test")
        await submit(running, BOB, plain)
        senders = [
            message_from_bytes(m.content).get_all("Sender") for m in running.lab.messages("capture")
        ]
        assert senders == [["no-reply@bnc.relay.test"], ["b@example.test"], None]
        first = running.lab.messages("capture")[0].content
        assert first.endswith(b"Sender: no-reply@bnc.relay.test\r\n" + plain)


async def test_off_by_default(start: Start) -> None:
    async with start("tls: Preferred\n") as running:
        await running.send(BOB)
        (message,) = running.lab.messages("capture")
        assert message.reverse_path == "sender@example.test"
        assert b"\r\nSender:" not in message.content
        assert running.relay.journal.counts().messages == 1


async def test_every_message_has_a_hidden_copy_and_notifications_have_none(start: Start) -> None:
    policy = f"tls: Preferred\nsalesforce: {{compliance_bcc: {ARCHIVE}}}\n"
    async with start(policy) as running:
        await running.send("a@good.lab.test")
        await arrived(running, 1)
        (copy,) = running.lab.messages("capture")
        (original,) = running.lab.messages("good")
        assert (copy.recipients, original.recipients) == ((ARCHIVE,), ("a@good.lab.test",))
        assert original.content.endswith(copy.content[copy.content.index(b"From:") :])
        assert ARCHIVE.encode() not in original.content
        sent = running.record()
        assert sent.envelope.recipients == ("a@good.lab.test",)
        await running.send("null@partner.test", sender="", mark="null")
        await running.send(ARCHIVE.title(), mark="itself")
        assert running.relay.journal.counts().messages == 4


async def test_nobody_is_told_that_a_copy_failed(start: Start) -> None:
    watcher = Watcher()
    policy = (
        "tls: Required\nreply: queued\nretry: none\n"
        "salesforce: {compliance_bcc: archive@no-starttls.lab.test, spf_compliance: true}\n"
    )
    async with start(policy, observer=watcher) as running:
        await running.send(BOB)
        await watcher.until(lambda: bool(watcher.bounces))
        await arrived(running, 1)
        (bounce,) = watcher.bounces
        assert bounce.recipient == "archive@no-starttls.lab.test"
        assert bounce.notified is Notified.NOBODY
        copy = running.relay.journal.message(bounce.message_id)
        assert copy.envelope.copy_of == running.record().envelope.id
        assert copy.recipients[0].state is RecipientState.FAILED
        words = ["messages", "show", copy.envelope.id, "--state", str(running.state)]
        shown = CliRunner().invoke(app, words).output
        assert f"message {copy.envelope.copy_of}, for compliance" in shown
        path = copy.envelope.sent_from
        assert path is not None
        report = dsn_samples.POSTFIX.replace(BOB.encode(), b"archive@no-starttls.lab.test")
        assert await submit(running, path, report) == 250
        await watcher.until(lambda: len(watcher.bounces) == 2)
        assert watcher.bounces[1].notified is Notified.NOBODY
        # The message, its copy and the report: nothing went to the sender.
        assert running.relay.journal.counts().messages == 3
