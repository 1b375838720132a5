"""Delivery status notifications end to end: asked for by a client, read at the receiver."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message

import aiosmtplib
import pytest
from e2e_relay import Running, Start, Watcher, text_message

from relay.core.records import Notified

QUEUED = "tls: {setting}\nreply: queued\nretry: none\n"


async def ask(
    running: Running, *rcpt: tuple[str, str], mail: str = "", mark: str = "asked"
) -> None:
    """Send a message with DSN parameters."""
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1", port=running.port(), start_tls=False, local_hostname="client.test"
    )
    async with client:
        await client.ehlo()
        assert client.supports_extension("dsn")
        await client.mail("sender@example.test", options=mail.split())
        for recipient, options in rcpt:
            await client.rcpt(recipient, options=options.split())
        await client.data(text_message(rcpt[0][0], mark))


def blocks(content: bytes) -> list[Message]:
    status = message_from_bytes(content).get_payload(1)
    assert isinstance(status, Message)
    return list(status.get_payload())


async def test_a_failure_names_the_senders_own_identifiers(start: Start) -> None:
    async with start(QUEUED.format(setting="Required")) as running:
        await ask(
            running,
            ("a@no-starttls.lab.test", "NOTIFY=FAILURE ORCPT=rfc822;Alias+2Bx@example.com"),
            mail="RET=FULL ENVID=Case+2BKept",
        )
        message = await running.lab.wait_for_message("capture")
    about, recipient = blocks(message.content)
    assert about["Original-Envelope-Id"] == "Case+Kept"
    assert recipient["Original-Recipient"] == "rfc822; Alias+x@example.com"
    assert recipient["Final-Recipient"] == "rfc822; a@no-starttls.lab.test"
    assert text_message("a@no-starttls.lab.test", "asked") in message.content
    assert message.encrypted


async def test_never_means_never(start: Start) -> None:
    watcher = Watcher()
    async with start(QUEUED.format(setting="Required"), observer=watcher) as running:
        await ask(running, ("a@no-starttls.lab.test", "NOTIFY=NEVER"))
        await watcher.until(lambda: len(watcher.bounces) == 1)
        assert watcher.bounces[0].notified is Notified.NOBODY
        assert running.relay.journal.counts().messages == 1


async def test_success_is_handed_on_to_a_host_that_takes_it(start: Start) -> None:
    watcher = Watcher()
    async with start(QUEUED.format(setting="Preferred"), observer=watcher) as running:
        await ask(
            running,
            ("a@good.lab.test", "NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@good.lab.test"),
            mail="RET=HDRS ENVID=abc",
        )
        await running.lab.wait_for_message("good")
        await watcher.until(lambda: len(watcher.attempts) == 1)
        (session,) = running.lab.received("good")
        lines = [line.text for line in session.transcript]
        assert running.relay.journal.counts().messages == 1
    (mail,) = [line for line in lines if line.startswith("MAIL ")]
    (rcpt,) = [line for line in lines if line.startswith("RCPT ")]
    assert "RET=HDRS" in mail
    assert "ENVID=abc" in mail
    assert "NOTIFY=SUCCESS,DELAY" in rcpt
    assert "ORCPT=rfc822;a@good.lab.test" in rcpt


@pytest.mark.parametrize("sender_takes_tls", [False, True])
async def test_a_notification_never_travels_under_a_weaker_setting(
    start: Start, sender_takes_tls: bool
) -> None:
    """The message is protected by Required; its sender's host is Off, and has no TLS or has it."""
    host = "good" if sender_takes_tls else "no-starttls"
    policy = (
        "tls: Required\nreply: queued\nretry: none\n"
        "rules: [{match: example.test, tls: Off}]\n"
        f"routes: [{{match: example.test, to: lab/{host}}}]\n"
    )
    watcher = Watcher()
    async with start(policy, observer=watcher) as running:
        await running.send("a@starttls-refused.lab.test")
        await watcher.until(lambda: len(watcher.attempts) == 2)
        notification = watcher.attempts[-1]
        assert notification.rule.setting.value == "required"
        assert "protected by it" in notification.rule.reason
        if sender_takes_tls:
            (message,) = running.lab.messages("good")
            assert message.encrypted
            assert message.reverse_path == ""
        else:
            await watcher.until(lambda: len(watcher.bounces) == 2)
            assert watcher.bounces[-1].notified is Notified.NOBODY
            for session in running.lab.received("no-starttls"):
                assert "MAIL" not in session.commands
                assert session.data_octets == 0
