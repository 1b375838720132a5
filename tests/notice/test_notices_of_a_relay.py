"""Notices of a whole relay: what its mail makes of them, and that its mail never waits for them."""

from __future__ import annotations

import json
from datetime import timedelta
from email import message_from_bytes
from email import policy as email_policy
from pathlib import Path
from typing import Any

from e2e_relay import Running, Start, TurnedClock, Watcher
from notice_records import SECRET, Hook, a_hook

from relay.config.policy_file import load_policy_text
from relay.core.addresses import parse_address
from relay.journal.api import MessageRecord
from relay.notice.options import NoticeOptions, Target, WebhookOptions

HOUR = timedelta(hours=1)
VERIFY = "tls: Required Verify\nreply: inline\n"
TO_GOOD = f"{VERIFY}routes:\n  - {{match: bank.test, to: lab/good}}\n"
TO_EXPIRED = TO_GOOD.replace("lab/good", "lab/expired")


def by_webhook(hook: Hook) -> NoticeOptions:
    target = Target.parse(f"http://127.0.0.1:{hook.port}/notices")
    return NoticeOptions(webhook=WebhookOptions(target=target, secret=SECRET), window=HOUR)


BY_MAIL = NoticeOptions(mail=parse_address("admin@crm.test"), window=HOUR)


async def told(hook: Hook, number: int) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in await hook.until(number)]


def summary_of(notices: list[dict[str, Any]]) -> list[tuple[str, str, int]]:
    return [(n["kind"], n["report"], n["count"]) for n in notices]


def kept_secret(state: Path) -> bool:
    return not any(SECRET in file.read_bytes() for file in state.iterdir() if file.is_file())


async def test_a_thousand_bounces_of_one_domain_are_three_notices(start: Start) -> None:
    clock = TurnedClock()
    async with (
        a_hook(204) as hook,
        start(VERIFY, clock=clock, notices=by_webhook(hook)) as running,
    ):
        for number in range(10):
            to = [f"u{number}-{n}@expired.lab.test" for n in range(100)]
            assert (await running.send(*to, mark=f"m{number}")).code == 451
        assert running.relay.journal.counts().bounces == 1000
        await told(hook, 2)
        await clock.turn_to(clock.now() + HOUR)
        notices = await told(hook, 3)
        assert summary_of(notices) == [
            ("first-tls-failure", "first", 1),
            ("bounced", "first", 1),
            ("bounced", "summary", 1000),
        ]
        first, last = notices[1], notices[2]
        assert first["domain"] == "expired.lab.test"
        assert first["code"] == {"code": 451, "enhanced": "4.7.5"}
        assert running.relay.journal.bounce(first["bounce_id"]).message_id == first["message_id"]
        assert first["next"] == f"relay bounces show {first['bounce_id']}"
        assert last["bounce_id"] != first["bounce_id"]
        assert b"hello" not in b"".join(request.body for request in hook.requests)
    assert len(hook.requests) == 3
    assert kept_secret(running.state)


async def test_mail_does_not_wait_for_a_webhook_that_never_answers(start: Start) -> None:
    async with a_hook(0) as hook, start(VERIFY, notices=by_webhook(hook)) as running:
        assert (await running.send("a@expired.lab.test", mark="one")).code == 451
        await hook.until(1)
        assert (await running.send("b@good.lab.test", mark="two")).code == 250
        assert (await running.send("c@expired.lab.test", mark="three")).code == 451
        assert len(hook.requests) == 1
        await hook.end()


async def test_a_domain_that_verified_and_then_expired_has_stopped_verifying(start: Start) -> None:
    async with a_hook(204) as hook, start(TO_GOOD, notices=by_webhook(hook)) as running:
        assert (await running.send("a@bank.test", mark="before")).code == 250
        await running.relay.load(load_policy_text(TO_EXPIRED, name="test.yaml"))
        assert (await running.send("a@bank.test", mark="after")).code == 451
        notices = await told(hook, 2)
        (attempt,) = running.record("before").attempts
    assert summary_of(notices) == [("stopped-verifying", "first", 1), ("bounced", "first", 1)]
    assert notices[0]["domain"] == "bank.test"
    assert notices[0]["verified_at"] == attempt.ended_at.isoformat()
    assert notices[0]["code"] == {"code": 451, "enhanced": "4.7.5"}


async def test_the_past_survives_a_restart(start: Start) -> None:
    async with start(TO_GOOD) as running:
        assert (await running.send("a@bank.test", mark="before")).code == 250
    async with a_hook(204) as hook:
        async with start(TO_EXPIRED, notices=by_webhook(hook)) as running:
            assert (await running.send("a@bank.test", mark="after")).code == 451
            assert (await told(hook, 2))[0]["kind"] == "stopped-verifying"
        async with start(TO_EXPIRED, notices=by_webhook(hook)) as running:
            assert (await running.send("a@bank.test", mark="again")).code == 451
            assert (await told(hook, 3))[2]["kind"] == "bounced"
    assert len(hook.requests) == 3


def the_notice(running: Running, watcher: Watcher) -> MessageRecord:
    (envelope,) = [e for e in watcher.accepted_envelopes if e.recipients == ("admin@crm.test",)]
    return running.relay.journal.message(envelope.id)


async def test_an_administrator_gets_a_mail_fit_to_read(start: Start) -> None:
    watcher = Watcher()
    policy = "tls: Preferred\nreply: inline\n"
    async with start(policy, notices=BY_MAIL, observer=watcher) as running:
        assert (await running.send("nobody@user-unknown.lab.test")).code == 550
        await watcher.until(lambda: len(watcher.attempts) == 2)
        record = the_notice(running, watcher)
        content = running.relay.journal.content(record.envelope.id)
        (bounce,) = running.record().bounces
    assert record.envelope.reverse_path == ""
    assert record.envelope.notification_for == bounce.message_id
    mail = message_from_bytes(content, policy=email_policy.SMTP)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["To"] == "admin@crm.test"
    assert mail["Subject"] == "Mail to user-unknown.lab.test bounced (550 5.1.1)"
    assert mail.get_content_type() == "text/plain"
    payload = mail.get_payload(decode=True)
    assert isinstance(payload, bytes)
    text = payload.decode()
    assert f"relay bounces show {bounce.id}" in text
    assert max(len(line) for line in text.splitlines()) <= 72
    assert "Code     550 5.1.1" in text


async def test_a_notice_that_can_not_be_mailed_makes_no_notice_and_no_bounce_of_its_own(
    start: Start,
) -> None:
    watcher = Watcher()
    policy = f"{VERIFY}routes:\n  - {{match: '*', to: lab/expired}}\n"
    async with start(policy, notices=BY_MAIL, observer=watcher) as running:
        assert (await running.send("a@bank.test")).code == 451
        # The domain's first TLS failure and the bounce: two mails, each given up after one try.
        await watcher.until(lambda: len(watcher.bounces) == 3)
    assert len(watcher.accepted_envelopes) == 3
    with_sender = [bounce for bounce in watcher.bounces if bounce.reverse_path]
    assert len(with_sender) == 1


async def test_a_summary_that_is_due_at_the_end_is_queued_for_the_next_start(start: Start) -> None:
    watcher = Watcher()
    policy = "tls: Preferred\nreply: inline\n"
    async with start(policy, notices=BY_MAIL, observer=watcher) as running:
        for mark in ("one", "two", "three"):
            await running.send("nobody@user-unknown.lab.test", mark=mark)
        await watcher.until(lambda: len(watcher.attempts) == 4)
    subjects = [envelope.subject for envelope in watcher.accepted_envelopes[3:]]
    assert "Mail to user-unknown.lab.test bounced 3 times (550 5.1.1)" in subjects
