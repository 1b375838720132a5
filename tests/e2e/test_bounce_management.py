"""Bounce management end to end: paths of our own, flags, what comes back, suppression."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import aiosmtplib
import dsn_samples
import pytest
from e2e_relay import Running, Start, Watcher

from relay.core.addresses import parse_address
from relay.core.contacts import Contact, ContactObject, contact_statuses
from relay.core.outcomes import Stage
from relay.core.records import Bounce, BounceAction, Notified, Reading
from relay.core.salesforce_view import BounceKind, FlagReason, SalesforceView
from relay.core.verp import decode_verp
from relay.journal.api import RecipientState
from relay.journal.contacts_store import ContactsStore
from relay.notice.options import NoticeOptions

POLICY = """
tls: {tls}
reply: {reply}
retry: none
salesforce: {{bounce_management: {{{more}}}}}
"""
BOB = "bob@partner.test"


def policy(tls: str = "Preferred", *, reply: str = "inline", more: str = "") -> str:
    return POLICY.format(tls=tls, reply=reply, more=more)


def view(bounce: Bounce) -> SalesforceView:
    assert bounce.salesforce is not None
    return bounce.salesforce


def store(state: Path) -> ContactsStore:
    return ContactsStore(state / "contacts.sqlite3")


async def left_with(running: Running, mark: str = "hello") -> str:
    """Return the reverse path that the capture receiver was told."""
    await running.lab.wait_for_message("capture")
    path = running.lab.messages("capture")[-1].reverse_path
    assert running.record(mark).envelope.sent_from == path
    return path


async def bring_back(
    running: Running, path: str, content: bytes, *, sender: str = ""
) -> tuple[int, str]:
    """Bring a message to a reverse path; return the reply that decided."""
    client = aiosmtplib.SMTP(
        hostname="127.0.0.1", port=running.port(), start_tls=False, local_hostname="mx.test"
    )
    async with client:
        await client.ehlo()
        await client.mail(sender)
        try:
            await client.rcpt(path)
        except aiosmtplib.SMTPRecipientRefused as refused:
            return refused.code, refused.message
        reply = await client.data(content)
    return reply.code, reply.message


async def test_mail_leaves_with_a_path_of_its_own_in_salesforce_s_shape(start: Start) -> None:
    async with start(policy()) as running:
        await running.send(BOB)
        path = await left_with(running)
        envelope = running.record().envelope
        found = decode_verp(parse_address(path))
        assert found is not None
        assert (found.message_id, found.sender) == (envelope.id, "sender@example.test")
        assert path == f"sender=example.test__{envelope.id}@bnc.relay.test"
        assert envelope.reverse_path == "sender@example.test"
        await running.send(BOB, sender="", mark="null")
        await running.lab.wait_for_message("capture")
        assert running.record("null").envelope.sent_from is None
        assert "" in {message.reverse_path for message in running.lab.messages("capture")}


async def test_without_bounce_management_nothing_changes(start: Start) -> None:
    async with start("tls: Required\nreply: queued\nretry: none\n") as running:
        await running.send("a@no-starttls.lab.test")
        notification = await running.lab.wait_for_message("capture")
        (bounce,) = running.record().bounces
        assert notification.reverse_path == ""
        assert bounce.notified is Notified.SENDER
        assert view(bounce).why is FlagReason.NOT_ACTIVE
        assert not view(bounce).is_bounced
        assert running.record().envelope.sent_from is None


async def test_a_tls_failure_flags_the_contact_and_tells_the_sender_nothing(start: Start) -> None:
    watcher = Watcher()
    async with start(policy("Required", reply="queued"), observer=watcher) as running:
        await running.send("Ann@no-starttls.lab.test")
        await watcher.until(lambda: len(watcher.bounces) == 1)
        (bounce,) = running.record().bounces
        assert bounce.notified is Notified.BOUNCE_MANAGEMENT
        assert running.relay.journal.counts().messages == 1
        assert view(bounce).is_bounced
        assert view(bounce).kind is BounceKind.SOFT
        ann = Contact(
            object=ContactObject.LEAD,
            id="00Q1",
            email="ann@No-Starttls.lab.test",
            first_name="Ann",
            last_name="",
        )
        (status,) = contact_statuses([ann], running.relay.journal.address_bounces(), {})
        assert status.is_email_bounced
        assert status.email_bounced_reason == (
            "451 4.7.6 [internal] STARTTLS required but not advertised"
        )
        assert status.email_bounced_date == bounce.at


@pytest.mark.parametrize(
    ("more", "recipient", "why"),
    [
        ("flag_contact_on: hard", "a@no-starttls.lab.test", FlagReason.SOFT_BOUNCE),
        ("flag_contact_on: hard", "a@user-unknown.lab.test", FlagReason.HARD_BOUNCE),
        ("flag_contact_on: user-unknown", "a@no-starttls.lab.test", FlagReason.SOFT_BOUNCE),
        ("flag_contact_on: user-unknown", "a@user-unknown.lab.test", FlagReason.USER_UNKNOWN),
        ("rule: pardot", "a@no-starttls.lab.test", FlagReason.TOO_FEW_SOFT_BOUNCES),
        ("rule: pardot", "a@user-unknown.lab.test", FlagReason.HARD_BOUNCE),
    ],
)
async def test_which_bounces_flag_a_contact(
    start: Start, more: str, recipient: str, why: FlagReason
) -> None:
    async with start(policy("Required", more=more)) as running:
        await running.send(recipient)
        (bounce,) = running.record().bounces
        assert view(bounce).why is why
        assert bounce.notified is Notified.CLIENT


async def test_a_relay_s_words_are_not_the_recipient_s_host_s(start: Start) -> None:
    through = policy(more="flag_contact_on: user-unknown") + "relay: lab/user-unknown\n"
    async with start(through) as running:
        await running.send(BOB)
        (bounce,) = running.record().bounces
        assert view(bounce).why is FlagReason.NOT_RECIPIENT_HOST


async def test_the_fifth_soft_bounce_flags_under_pardot_s_rule(start: Start) -> None:
    async with start(policy("Required", more="rule: pardot")) as running:
        for number in range(5):
            await running.send("a@no-starttls.lab.test", mark=f"soft{number}")
        flagged = [view(running.record(f"soft{n}").bounces[0]).contact_flagged for n in range(5)]
        assert flagged == [False, False, False, False, True]
        now = running.record("soft4").bounces[0].at
        store(running.state).clear("A@no-starttls.lab.test", now)
        await running.send("a@no-starttls.lab.test", mark="after")
        assert view(running.record("after").bounces[0]).why is FlagReason.TOO_FEW_SOFT_BOUNCES


@pytest.mark.parametrize(
    ("sample", "code", "action"),
    [
        ("POSTFIX", "550 5.1.1", BounceAction.FAILED),
        ("POSTFIX_EXPIRED", "450 4.4.1", BounceAction.FAILED),
        ("POSTFIX_DELAYED", "452 4.2.2", BounceAction.DELAYED),
        ("EXCHANGE", "550 5.1.10", BounceAction.FAILED),
        ("EXIM", "550 5.1.1", BounceAction.FAILED),
    ],
)
async def test_a_notification_that_comes_back_is_counted_and_not_sent_on(
    start: Start, sample: str, code: str, action: BounceAction
) -> None:
    async with start(policy()) as running:
        await running.send(BOB)
        path = await left_with(running)
        reply = await bring_back(running, path, getattr(dsn_samples, sample))
        assert reply[0] == 250
        record = running.record()
        (bounce,) = record.bounces
        assert (str(bounce.status), bounce.action, bounce.recipient) == (code, action, BOB)
        assert bounce.stage is Stage.OUT_OF_BAND
        assert bounce.stage.value == "out of band bounce"
        assert bounce.notified is Notified.BOUNCE_MANAGEMENT
        assert bounce.session_id == record.attempts[0].session_id
        assert view(bounce).contact_flagged is (action is BounceAction.FAILED)
        kept = running.relay.journal.message(bounce.returned_in or "")
        (returned,) = kept.envelope.returned
        assert returned.message_id == record.envelope.id
        assert returned.reading is Reading(action.value)
        assert kept.recipients[0].state is RecipientState.DELIVERED
        assert len(running.lab.messages("capture")) == 1
        assert running.relay.journal.content(kept.envelope.id).endswith(
            getattr(dsn_samples, sample)
        )


@pytest.mark.parametrize(
    ("sample", "reading"),
    [
        ("SUCCESS", Reading.DELIVERED),
        ("OUT_OF_OFFICE", Reading.UNREADABLE),
        ("BROKEN", Reading.UNREADABLE),
    ],
)
async def test_what_reports_no_failure_is_kept_and_counts_for_nothing(
    start: Start, sample: str, reading: Reading
) -> None:
    watcher = Watcher()
    async with start(policy(), observer=watcher) as running:
        await running.send(BOB)
        path = await left_with(running)
        content = getattr(dsn_samples, sample)
        code, _ = await bring_back(running, path, content, sender="bob@partner.test")
        assert code == 250
        assert running.record().bounces == ()
        kept = watcher.accepted_envelopes[-1]
        assert kept.returned[0].reading is reading
        assert running.relay.journal.content(kept.id).endswith(content)


async def test_a_report_about_somebody_else_is_no_bounce_of_a_message_to_two(start: Start) -> None:
    watcher = Watcher()
    async with start(policy(), observer=watcher) as running:
        await running.send("ann@partner.test", "eve@partner.test")
        path = await left_with(running)
        await bring_back(running, path, dsn_samples.POSTFIX)
        assert running.record().bounces == ()
        assert watcher.accepted_envelopes[-1].returned[0].reading is Reading.UNREADABLE


async def test_the_sender_gets_it_where_the_policy_returns_bounces(start: Start) -> None:
    more = "return_to_sender: true"
    watcher = Watcher()
    async with start(policy(more=more), observer=watcher) as running:
        await running.send(BOB)
        path = await left_with(running)
        await bring_back(running, path, dsn_samples.POSTFIX)
        await watcher.until(lambda: len(watcher.attempts) == 2)
        forwarded = running.lab.messages("capture")[-1]
        assert forwarded.reverse_path == ""
        assert forwarded.recipients == ("sender@example.test",)
        assert forwarded.content.endswith(dsn_samples.POSTFIX)
        assert running.record().bounces[0].notified is Notified.SENDER


async def test_failures_in_the_session_are_returned_too_where_the_policy_says_so(
    start: Start,
) -> None:
    async with start(policy("Required", reply="queued", more="return_to_sender: true")) as running:
        await running.send("a@no-starttls.lab.test")
        notification = await running.lab.wait_for_message("capture")
        assert notification.recipients == ("sender@example.test",)
        assert running.record().bounces[0].notified is Notified.SENDER


async def test_paths_that_nothing_left_with_are_refused(start: Start) -> None:
    async with start(policy()) as running:
        await running.send(BOB)
        path = await left_with(running)
        local = path.partition("@")[0]
        forged = [
            "anybody@bnc.relay.test",
            f"{local[:-1]}{'0' if local[-1] != '0' else '1'}@bnc.relay.test",
            path.replace("sender=", "other="),
        ]
        for address in forged:
            code, text = await bring_back(running, address, dsn_samples.POSTFIX)
            assert (code, text.split()[0]) == (550, "5.1.1"), address
        assert running.record().bounces == ()
        assert running.relay.journal.counts().messages == 1
        code, _ = await bring_back(running, "postmaster@bnc.relay.test", b"Subject: x\r\n\r\nx\r\n")
        assert code == 250
        code, _ = await bring_back(running, path.upper(), dsn_samples.POSTFIX)
        assert code == 250
        assert len(running.record().bounces) == 1


async def test_what_left_keeps_its_path_under_another_policy(start: Start) -> None:
    async with start(policy()) as running:
        await running.send(BOB)
        path = await left_with(running)
    async with start("tls: Preferred\n") as running:
        code, _ = await bring_back(running, path, dsn_samples.POSTFIX)
        assert code == 250
        (bounce,) = running.record().bounces
        assert bounce.notified is Notified.SENDER
        assert view(bounce).why is FlagReason.NOT_ACTIVE
        forwarded = await running.lab.wait_for_message("capture")
        assert forwarded.recipients == ("sender@example.test",)


async def test_a_flagged_address_gets_nothing_until_it_is_cleared(start: Start) -> None:
    async with start(policy("Required", more="suppress: flagged")) as running:
        await running.send("a@no-starttls.lab.test", mark="first")
        sessions = len(running.lab.received("no-starttls"))
        reply = await running.send("A@no-starttls.lab.test", mark="second")
        assert (reply.code, reply.text.split()[0]) == (550, "5.7.1")
        assert len(running.lab.received("no-starttls")) == sessions
        record = running.record("second")
        assert [attempt.session_id for attempt in record.attempts] == [None]
        (bounce,) = record.bounces
        assert "451 4.7.6" in bounce.cause
        assert "relay contacts clear" in bounce.remedy
        assert view(bounce).why is FlagReason.FLAGGED_BEFORE
        assert not view(bounce).is_bounced
        reply = await running.send("b@no-starttls.lab.test", mark="other")
        assert reply.text.split()[0] == "4.7.6"

        store(running.state).clear("a@NO-STARTTLS.lab.test", bounce.at)
        reply = await running.send("a@no-starttls.lab.test", mark="third")
        assert (reply.code, reply.text.split()[0]) == (451, "4.7.6")


async def test_a_notification_that_arrives_twice_counts_once(start: Start) -> None:
    async with start(policy()) as running:
        await running.send(BOB)
        path = await left_with(running)
        for number, mark in enumerate((b"one", b"one", b"two"), 1):
            content = b"Message-ID: <" + mark + b"@mx.test>\r\n" + dsn_samples.POSTFIX
            assert (await bring_back(running, path, content))[0] == 250
            assert running.relay.journal.counts().messages == 1 + number
        assert len(running.record().bounces) == 2
        assert len({bounce.returned_in for bounce in running.record().bounces}) == 2


async def test_an_administrator_hears_of_what_comes_back(start: Start) -> None:
    watcher = Watcher()
    notices = NoticeOptions(mail=parse_address("admin@crm.test"), window=timedelta(hours=1))
    async with start(policy(), observer=watcher, notices=notices) as running:
        await running.send(BOB)
        path = await left_with(running)
        await bring_back(running, path, dsn_samples.POSTFIX)
        await watcher.until(
            lambda: any(a.outcomes[0].recipient == "admin@crm.test" for a in watcher.attempts)
        )
        notice = running.lab.messages("capture")[-1]
        assert b"550 5.1.1" in notice.content
        assert BOB.encode() in notice.content
