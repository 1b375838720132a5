"""Email relays, domain filters, AUTH and Salesforce's switches, over the lab's receivers."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from e2e_relay import POLICIES, Start, TurnedClock, Watcher
from typer.testing import CliRunner

from relay.audit.story import story
from relay.cli.app import app
from relay.core.outcomes import Delivered, Stage
from relay.core.records import BounceAction
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver
from relay.lab.lab import Lab
from relay.lab.received import ReceivedSession

PASSWORD = "correct-horse-battery"
TWO_RELAYS = """
tls: Required Verify
email_relays:
  - {name: partner, host: lab/no-starttls, tls: Preferred}
  - {name: outside, host: lab/good, tls: Required}
domain_filters:
  - {relay: outside, from: "*.sales.example", priority: 2}
  - {relay: partner, to: "partner.example, *.partner.example", priority: 1}
"""


def with_auth(scenario: str, mechanism: str = "PLAIN") -> str:
    return (
        f"email_relays: [{{name: r, host: lab/{scenario}, tls: Required Verify, auth: "
        f"{{mechanism: {mechanism}, username: org, password: {PASSWORD}}}}}]\n"
        "domain_filters: [{relay: r}]\n"
    )


def only_session(lab: Lab, scenario: str) -> ReceivedSession:
    (session,) = lab.received(scenario)
    return session


@pytest.mark.parametrize(
    ("sender", "recipient", "scenario", "setting", "protection"),
    [
        (
            "a@x.example",
            "b@partner.example",
            "no-starttls",
            TlsSetting.PREFERRED,
            Protection.CLEAR,
        ),
        (
            "a@eu.sales.example",
            "b@sub.partner.example",
            "no-starttls",
            TlsSetting.PREFERRED,
            Protection.CLEAR,
        ),
        (
            "a@eu.sales.example",
            "b@else.example",
            "good",
            TlsSetting.REQUIRED,
            Protection.ENCRYPTED,
        ),
        (
            "a@sales.example",
            "b@wildcard.lab.test",
            "wildcard",
            TlsSetting.REQUIRED_VERIFY,
            Protection.VERIFIED,
        ),
    ],
)
async def test_the_first_filter_that_matches_leads_the_way(
    start: Start,
    sender: str,
    recipient: str,
    scenario: str,
    setting: TlsSetting,
    protection: Protection,
) -> None:
    """And what none matches is delivered directly, under the recipient's own policy."""
    async with start(TWO_RELAYS) as running:
        assert (await running.send(recipient, sender=sender)).code == 250
        assert len(running.lab.messages(scenario)) == 1
        (attempt,) = running.record().attempts
        assert attempt.rule.setting is setting
        assert attempt.verdict == Deliver(protection=protection)
        assert ("domain filter" in attempt.sent_by) is (scenario != "wildcard")


async def test_one_message_goes_both_ways(start: Start) -> None:
    async with start(TWO_RELAYS) as running:
        reply = await running.send("a@partner.example", "b@good.lab.test", sender="")
        assert reply.code == 250
        assert len(running.lab.messages("no-starttls")) == len(running.lab.messages("good")) == 1
        routes = {attempt.route for attempt in running.record().attempts}
        assert routes == {"lab/no-starttls", "lab/good"}


async def test_from_preferred_to_required_with_a_relay_without_tls(start: Start) -> None:
    """The founding question, with an email relay in front: now everything bounces."""
    text = (
        "email_relays: [{{name: corporate, host: lab/no-starttls, tls: {}}}]\n"
        "domain_filters: [{{relay: corporate}}]\n"
    )
    async with start(text.format("Preferred")) as running:
        assert (await running.send("x@good.lab.test")).code == 250
        assert not only_session(running.lab, "no-starttls").messages[0].encrypted
    async with start(text.format("Required")) as running:
        reply = await running.send("x@good.lab.test", mark="second")
        assert reply.code == 451
        assert reply.text == "4.7.6 [internal] STARTTLS required but not advertised"
        assert running.lab.messages("no-starttls") == running.lab.messages("good") == ()
        (bounce,) = running.record("second").bounces
        assert bounce.stage is Stage.AFTER_EHLO
        assert bounce.rule.reason == "the email relay corporate has a setting of its own"
        words = ["messages", "show", "latest", "--state", str(running.state)]
        shown = " ".join(CliRunner().invoke(app, words).output.split())
        assert "Way everything goes through the email relay corporate, by domain filter 1" in shown
        assert "Route" not in shown


async def test_the_page_tells_it_as_it_is(start: Start) -> None:
    """The shipped policy, with Preferred and with Required: docs/salesforce.md shows both."""
    page = " ".join((POLICIES.parent / "docs" / "salesforce.md").read_text().split())
    shipped = (POLICIES / "email-relay.yaml").read_text()
    for setting in ("Preferred", "Required"):
        text = shipped.replace("tls: Required       #", f"tls: {setting} #")
        async with start(text) as running:
            await running.send("anyone@good.lab.test", mark=setting)
            for head, words in story(running.record(setting), "anyone@good.lab.test"):
                if head not in {"Host", "Code"}:
                    told = words.replace("test.yaml", "email-relay.yaml")
                    assert f"{head} {told}" in page


async def test_a_notification_is_protected_as_the_relays_setting_protected_the_message(
    start: Start,
) -> None:
    """It goes to the sender's host, which has no TLS, and may not go there in clear text."""
    text = """
tls: Preferred
reply: queued
retry: none
email_relays: [{name: r, host: lab/user-unknown, tls: Required Verify}]
domain_filters: [{relay: r, to: partner.example}]
"""
    watcher = Watcher()
    async with start(text, observer=watcher) as running:
        await running.send("x@partner.example", sender="y@no-starttls.lab.test")
        await watcher.until(lambda: len(watcher.bounces) == 2)
        notification = next(e for e in watcher.accepted_envelopes if e.notification_for)
        assert notification.protect_as is TlsSetting.REQUIRED_VERIFY
        assert str(watcher.bounces[1].status) == "451 4.7.6"
        assert running.lab.messages("no-starttls") == ()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
async def test_a_relay_that_wants_auth_gets_it(start: Start, mechanism: str) -> None:
    async with start(with_auth("auth-required", mechanism)) as running:
        assert (await running.send("x@example.test")).code == 250
        session = only_session(running.lab, "auth-required")
        assert session.auth_seen
        assert session.commands.index("AUTH") > session.commands.index("STARTTLS")
        assert len(session.messages) == 1
        assert session.messages[0].encrypted
    # Nobody wrote the secret down: no record, no transcript, on either side.
    secrets = {PASSWORD, *(base64.b64encode(s.encode()).decode() for s in (PASSWORD, "org"))}
    secrets.add(base64.b64encode(f"\0org\0{PASSWORD}".encode()).decode())
    kept = [path.read_bytes() for path in running.state.rglob("*") if path.is_file()]
    kept.append(str(session).encode())
    assert not [s for s in secrets for octets in kept if s.encode() in octets]


async def test_without_credentials_it_refuses(start: Start) -> None:
    policy = "email_relays: [{name: r, host: lab/auth-required}]\ndomain_filters: [{relay: r}]\n"
    async with start(policy) as running:
        assert (await running.send("x@example.test")).text == "5.7.0 Authentication required"


async def test_a_refused_password_is_the_hosts_own_reply(start: Start) -> None:
    async with start(with_auth("auth-fails")) as running:
        reply = await running.send("x@example.test")
        assert (reply.code, reply.text) == (535, "5.7.8 Authentication credentials invalid")
        (bounce,) = running.record().bounces
        assert (bounce.stage, bounce.action) == (Stage.AUTH, BounceAction.FAILED)
        assert "MAIL" not in only_session(running.lab, "auth-fails").commands


@pytest.mark.parametrize(
    "scenario",
    [
        *("no-starttls", "starttls-refused", "handshake-drop", "tls10-only", "starttls-garbage"),
        *("expired", "self-signed", "untrusted-root", "wrong-host"),
    ],
)
async def test_no_auth_reaches_a_host_that_was_not_verified(start: Start, scenario: str) -> None:
    """Read from the host's own side; each offers AUTH, some in clear text."""
    async with start(with_auth(scenario)) as running:
        assert (await running.send("x@example.test")).code == 451
        sessions = running.lab.received(scenario)
        assert sessions
        for session in sessions:
            assert not session.auth_seen
            assert "AUTH" not in session.commands
            assert session.messages == ()


QUEUED = "tls: Required\nreply: queued\nretry: {delays: [1h], expire_after: 24h}\n"


async def test_a_tls_failure_is_retried_or_bounces_at_once(start: Start) -> None:
    for switch, action, state in (
        ("retry", BounceAction.DELAYED, "queued"),
        ("bounce-at-once", BounceAction.FAILED, "failed"),
    ):
        watcher = Watcher()
        text = f"{QUEUED}salesforce: {{on_tls_failure: {switch}}}\n"
        async with start(text, observer=watcher, clock=TurnedClock()) as running:
            await running.send("x@no-starttls.lab.test", sender="", mark=switch)
            await watcher.until(lambda w=watcher: bool(w.bounces))  # type: ignore[misc]
            (bounce,) = watcher.bounces
            assert (bounce.action, str(bounce.status)) == (action, "451 4.7.6")
            assert bounce.attempts == 1
            assert running.record(switch).recipients[0].state.value == state


@pytest.mark.parametrize(
    ("switch", "text"),
    [
        ("no-go-ahead", "4.7.5 [internal] no tls go-ahead"),
        ("host-reply", "4.7.0 TLS not available due to temporary reason"),
    ],
)
async def test_a_refused_starttls_is_told_in_either_words(
    start: Start, switch: str, text: str
) -> None:
    policy = f"tls: Required\nsalesforce: {{refused_starttls: {switch}}}\n"
    async with start(policy) as running:
        reply = await running.send("x@starttls-refused.lab.test")
        assert reply.text == text
        assert running.record().bounces[0].text == text.partition(" ")[2]


async def test_the_recipients_domain_may_decide_on_a_relays_tls(start: Start) -> None:
    policy = (
        "tls: Required Verify\n"
        "email_relays: [{name: r, host: lab/expired, tls: Preferred}]\n"
        "domain_filters: [{relay: r}]\n"
        "salesforce: {email_relay_tls: recipient-domain}\n"
    )
    async with start(policy) as running:
        assert (await running.send("x@example.test")).code == 451
        assert running.record().bounces[0].setting is TlsSetting.REQUIRED_VERIFY


@pytest.mark.parametrize(
    ("switch", "code", "text"),
    [
        ("deliver", 250, None),
        ("terminate", 451, "[internal] remote node SSL certificate not signed by a valid CA"),
    ],
)
async def test_required_may_look_at_the_certificate(
    start: Start, switch: str, code: int, text: str | None
) -> None:
    policy = f"tls: Required\nsalesforce: {{required_on_bad_certificate: {switch}}}\n"
    async with start(policy) as running:
        assert (await running.send("x@expired.lab.test")).code == code
        assert (await running.send("x@good.lab.test", mark="good")).code == 250
        if text is not None:
            (bounce,) = running.record().bounces
            assert (bounce.text, bounce.stage) == (text, Stage.HANDSHAKE)
            assert bounce.cause.endswith("Required demands a trustworthy certificate.")


async def test_mail_below_invalid_is_dropped_and_says_so_of_itself(start: Start) -> None:
    policy = "tls: Required Verify\nsalesforce: {invalid_domains: discard}\n"
    async with start(policy) as running:
        assert (await running.send("x@anything.invalid")).code == 250
        record = running.record()
        (attempt,) = record.attempts
        assert (attempt.hop, attempt.session_id, attempt.verdict) == (None, None, None)
        assert attempt.route == "nowhere"
        outcome = attempt.outcomes[0].outcome
        assert isinstance(outcome, Delivered)
        assert outcome.reply.words == (
            "[internal] mail to a domain below .invalid is dropped, and reads as sent"
        )
        assert (record.bounces, record.recipients[0].state.value) == ((), "delivered")


@pytest.mark.parametrize("scenario", ["tls10-only", "tls11-only"])
@pytest.mark.parametrize("setting", TlsSetting)
async def test_a_host_with_old_tls_alone_gets_clear_text_unless_tls_is_required(
    start: Start, scenario: str, setting: TlsSetting
) -> None:
    async with start(f"tls: {setting.label}\n") as running:
        reply = await running.send(f"x@{scenario}.lab.test")
        if setting.requires_tls:
            assert reply.text == "4.7.5 [internal] TLS negotiation failed"
            assert running.lab.messages(scenario) == ()
        else:
            assert reply.code == 250
            assert [m.encrypted for m in running.lab.messages(scenario)] == [False]


async def test_a_policys_credentials_may_come_from_elsewhere(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    monkeypatch.setenv("RELAY_TEST_PASSWORD", PASSWORD)
    for source in ("password_env: RELAY_TEST_PASSWORD", f"password_file: '{file}'"):
        text = with_auth("auth-required").replace(f"password: {PASSWORD}", source)
        async with start(text) as running:
            assert (await running.send("x@example.test", mark=source[:12])).code == 250
