"""What the client, the sender and the records are told: inline and queued."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from email import message_from_bytes
from email.message import Message

import pytest
from e2e_relay import Start, TurnedClock, Watcher, text_message
from flufl.bounce import all_failures

from relay.core.records import BounceAction, Notified
from relay.journal.api import RecipientState

UNTRUSTED = "4.7.5 [internal] remote node SSL certificate not signed by a valid CA"
NO_TLS = "4.7.6 [internal] STARTTLS required but not advertised"


async def test_inline_the_client_gets_the_code_itself_and_nobody_else_is_told(
    start: Start,
) -> None:
    async with start("required-verify") as running:
        reply = await running.send("a@expired.lab.test")
        assert (reply.code, reply.text) == (451, UNTRUSTED)
        record = running.record()
        (bounce,) = record.bounces
        assert bounce.action is BounceAction.FAILED
        assert bounce.notified is Notified.CLIENT
        assert [status.state for status in record.recipients] == [RecipientState.FAILED]
        assert running.relay.journal.counts().messages == 1
        assert running.lab.messages("capture") == ()


async def test_inline_the_first_recipients_failure_is_the_reply(start: Start) -> None:
    async with start("required-verify") as running:
        reply = await running.send("a@no-starttls.lab.test", "b@expired.lab.test")
        assert (reply.code, reply.text) == (451, NO_TLS)
        codes = {b.recipient: str(b.status) for b in running.record().bounces}
        assert codes == {"a@no-starttls.lab.test": "451 4.7.6", "b@expired.lab.test": "451 4.7.5"}


async def test_inline_a_partial_success_is_250_and_the_rest_bounces_by_notification(
    start: Start,
) -> None:
    watcher = Watcher()
    async with start("required-verify", observer=watcher) as running:
        reply = await running.send("a@expired.lab.test", "b@good.lab.test")
        assert reply.code == 250
        (bounce,) = running.record().bounces
        assert (bounce.recipient, bounce.notified) == ("a@expired.lab.test", Notified.SENDER)
        message = await running.lab.wait_for_message("capture")
        assert message.reverse_path == ""
        assert message.recipients == ("sender@example.test",)
        assert all_failures(message_from_bytes(message.content))[1] == {b"a@expired.lab.test"}


async def test_inline_a_partial_success_without_a_reverse_path_notifies_nobody(
    start: Start,
) -> None:
    async with start("required-verify") as running:
        reply = await running.send("a@expired.lab.test", "b@good.lab.test", sender="")
        assert reply.code == 250
        (bounce,) = running.record().bounces
        assert bounce.notified is Notified.NOBODY
        assert running.relay.journal.counts().messages == 1


async def test_a_hosts_own_refusal_is_passed_on(start: Start) -> None:
    async with start("off") as running:
        reply = await running.send("nobody@user-unknown.lab.test")
        assert reply.code == 550
        assert reply.text.startswith("5.1.1 ")
        (bounce,) = running.record().bounces
        assert str(bounce.status) == "550 5.1.1"
        assert bounce.result_type is None


async def test_bounce_lines_can_be_tailed(start: Start) -> None:
    async with start("required-verify") as running:
        await running.send("a@expired.lab.test", mark="one")
        await running.send("b@wrong-host.lab.test", mark="two")
        lines = (running.state / "bounces.jsonl").read_text().splitlines()
        first, second = map(json.loads, lines)
    assert first["recipient"] == "a@expired.lab.test"
    assert first["status"] == {"code": 451, "enhanced": "4.7.5"}
    assert first["result_type"] == "certificate-expired"
    assert first["stage"] == "handshaking TLS"
    assert first["action"] == "failed"
    assert first["attempts"] == 1
    assert first["session_id"]
    assert first["cause"]
    assert first["remedy"]
    assert second["text"] == "[internal] SSL cert common name does not match host"
    assert second["faults"][0]["kind"] == "certificate-name-mismatch"


QUEUED_DAY = """
tls: Required
reply: queued
retry: salesforce
"""


async def test_queued_a_day_of_retries_then_the_sender_is_told(start: Start) -> None:
    """Salesforce's schedule: nine tries, five minutes doubling, given up after 24 hours."""
    clock, watcher = TurnedClock(), Watcher()
    async with start(QUEUED_DAY, clock=clock, observer=watcher) as running:
        begun = clock.now()
        reply = await running.send("a@no-starttls.lab.test")
        assert reply.code == 250
        tries = []
        for number in range(1, 10):
            await watcher.until(lambda n=number: len(watcher.bounces) == n)
            bounce = watcher.bounces[-1]
            tries.append((clock.now() - begun) / timedelta(minutes=1))
            assert bounce.action is BounceAction.DELAYED
            assert (str(bounce.status), bounce.attempts) == ("451 4.7.6", number)
            assert bounce.notified is Notified.NOBODY
            assert bounce.will_retry_at is not None
            await clock.turn_to(bounce.will_retry_at)
        assert [round(t) for t in tries] == [0, 5, 15, 35, 75, 155, 315, 635, 1275]
        await watcher.until(lambda: len(watcher.bounces) == 10)
        final = watcher.bounces[-1]
        assert (clock.now() - begun) == timedelta(hours=24)
        assert final.action is BounceAction.FAILED
        assert (str(final.status), str(final.cause_status)) == ("554 5.4.7", "451 4.7.6")
        assert final.notified is Notified.SENDER
        assert running.lab.messages("no-starttls") == ()
        dsn = await running.lab.wait_for_message("capture")
    report = message_from_bytes(dsn.content)
    assert report.get_content_type() == "multipart/report"
    status = report.get_payload(1)
    assert isinstance(status, Message)
    _about, recipient = status.get_payload()
    assert recipient["Action"] == "failed"
    assert recipient["Status"] == "5.4.7"
    assert recipient["Diagnostic-Code"].startswith("smtp; 451 4.7.6 [internal] STARTTLS")
    assert recipient["Remote-MTA"] == "dns; mx.no-starttls.lab.test"
    assert all_failures(report)[1] == {b"a@no-starttls.lab.test"}


async def test_queued_a_notification_never_bounces_again(start: Start) -> None:
    watcher = Watcher()
    policy = """
tls: Required
reply: queued
retry: none
"""
    async with start(policy, observer=watcher) as running:
        await running.send("a@no-starttls.lab.test", sender="b@no-starttls.lab.test")
        await watcher.until(lambda: len(watcher.bounces) == 2)
        first, second = watcher.bounces
        assert (first.recipient, first.notified) == ("a@no-starttls.lab.test", Notified.SENDER)
        assert (second.recipient, second.notified) == ("b@no-starttls.lab.test", Notified.NOBODY)
        assert running.relay.journal.counts().messages == 2


async def test_queued_messages_survive_a_restart(start: Start) -> None:
    watcher = Watcher()
    policy = "tls: Required\nreply: queued\nretry: {delays: [1h], expire_after: 2h}\n"
    async with start(policy, observer=watcher) as running:
        await running.send("a@mailbox-busy.lab.test")
        await watcher.until(lambda: len(watcher.bounces) == 1)
    clock, watcher = TurnedClock(), Watcher()
    async with start(policy, clock=clock, observer=watcher) as running:
        await clock.turn_to(clock.now() + timedelta(hours=1))
        await watcher.until(lambda: len(watcher.bounces) == 1)
        assert watcher.bounces[0].attempts == 2
        (message,) = running.record().attempts[:1]
        assert message.round == 1


async def test_clear_retry_is_a_session_and_an_attempt_of_its_own(start: Start) -> None:
    async with start("preferred") as running:
        reply = await running.send("a@handshake-drop.lab.test")
        assert reply.code == 250
        first, second = running.record().attempts
        assert (first.clear, second.clear) == (False, True)
        assert first.session_id != second.session_id
        tls, clear = running.lab.received("handshake-drop")
        assert (tls.data_octets, tls.messages) == (0, ())
        assert "MAIL" not in tls.commands
        assert len(clear.messages) == 1
        assert not clear.messages[0].encrypted


@pytest.mark.parametrize("setting", ["Off", "Preferred", "Required"])
async def test_content_arrives_byte_for_byte_behind_the_trace_header(
    start: Start, setting: str
) -> None:
    async with start(f"tls: {setting}\n") as running:
        assert (await running.send("a@good.lab.test", mark="bytes")).code == 250
        (message,) = running.lab.messages("good")
        assert message.encrypted is (setting != "Off")
        sent = text_message("a@good.lab.test", "bytes")
        assert message.content.endswith(sent)
        trace = message.content.removesuffix(sent)
        assert trace.startswith(b"Received: from ")
        assert trace.endswith(b"\r\n")


async def test_a_host_that_falls_silent_is_told_before_the_client_gives_up(start: Start) -> None:
    """The client's answer is bounded by `reply_within`, and the session so far is on record."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 silent.test ESMTP\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        policy = (
            "tls: Required\nreply_within: 0.2s\n"
            f"routes: [{{match: slow.test, to: '127.0.0.1:{port}'}}]\n"
        )
        async with start(policy) as running:
            reply = await running.send("a@slow.test")
            assert str(reply.status) == "451 4.4.7"
            record = running.record()
            (bounce,) = record.bounces
            assert "reply_within" in bounce.remedy
            outbound = next(s for s in record.sessions if s.id == bounce.session_id)
            assert "220 silent.test ESMTP" in [line.text[:21] for line in outbound.transcript]


async def test_mail_never_leaves_for_a_host_off_this_machine(start: Start) -> None:
    async with start("tls: Off\nroutes: [{match: '*', to: '192.0.2.1:25'}]\n") as running:
        reply = await running.send("a@anywhere.test")
        assert reply.code == 554
        assert "--allow-external" in reply.text
        (attempt,) = running.record().attempts
        assert attempt.verdict is None
