"""What follows from where recipients rest: states, bounces, who is told. Hand-made rounds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message
from itertools import count

import pytest
import record_builders as build
from record_builders import OK

from relay.config.policy_file import load_policy_text
from relay.core.delivery import Policy
from relay.core.dsn import DsnRequest, Notify, RecipientRequest
from relay.core.outcomes import (
    ConnectionFailure,
    ConnectionProblem,
    Deferred,
    Outcome,
    PeerRefusal,
    Stage,
    outcome_of,
)
from relay.core.records import Attempt, BounceAction, Envelope, Notified
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.salesforce_view import BounceKind, FlagReason
from relay.core.settings import TlsSetting
from relay.core.steps import Done, GiveUp, Wait
from relay.engine.settling import Round, Settled, Settlement, Settler
from relay.journal.api import RecipientState

AT = datetime(2026, 5, 6, tzinfo=UTC)
LATER = AT + timedelta(hours=1)
A, B = "a@one.test", "b@two.test"
HOP = Hop(host="mx.one.test", address="127.0.0.1", port=25)
LOST = ConnectionFailure(problem=ConnectionProblem.LOST, stage=Stage.EHLO, detail="x")
UNKNOWN = PeerRefusal(reply=Reply(code=550, text="5.1.1 unknown"), stage=Stage.RCPT)
POLICY = load_policy_text("tls: Preferred\n", name="p.yaml")
NEVER: tuple[Notify, ...] = ()
ALL = tuple(Notify)


def envelope(**asked: tuple[Notify, ...]) -> Envelope:
    requests = tuple(
        RecipientRequest(recipient={"a": A, "b": B}[who], notify=notify)
        for who, notify in asked.items()
    )
    return build.envelope(
        reverse_path="sender@example.test",
        recipients=(A, B),
        dsn=DsnRequest(recipients=requests),
    )


def attempt(recipient: str, outcome: Outcome, number: int = 1) -> Attempt:
    return build.attempt(
        id=f"{recipient}-{number}",
        round=number,
        hop=HOP,
        rule=build.rule(TlsSetting.PREFERRED),
        outcome=outcome,
        recipient=recipient,
        verdict=None,
    )


def settle(
    steps: dict[str, Settled],
    *attempts: Attempt,
    about: Envelope | None = None,
    policy: Policy = POLICY,
    client_waits: bool = False,
    tried_now: tuple[str, ...] = (A, B),
) -> Settlement:
    ids = count(1)
    return Settler(hostname="relay.test", new_id=lambda: f"id{next(ids)}").settle(
        Round(
            envelope=about or envelope(),
            content=b"Subject: x\r\n\r\nbody\r\n",
            steps=steps,
            attempts=attempts,
            tried_now=tried_now,
            policy=policy,
            at=AT,
            client_waits=client_waits,
        )
    )


WAIT = Wait(until=LATER, failure=LOST)
LATE = attempt(A, Deferred(failure=LOST))
REFUSED = attempt(A, outcome_of(UNKNOWN))
GIVEN_UP = GiveUp(cause=UNKNOWN, expired=False)


def actions(settlement: Settlement) -> list[tuple[str, str]]:
    """Who is told what, read back from the notification itself."""
    if not settlement.notifications:
        return []
    (notification,) = settlement.notifications
    status = message_from_bytes(notification.content).get_payload(1)
    assert isinstance(status, Message)
    return [
        (str(block["Final-Recipient"]), str(block["Action"])) for block in status.get_payload()[1:]
    ]


@pytest.mark.parametrize(
    ("step", "state", "next_at"),
    [
        (Done(), RecipientState.DELIVERED, None),
        (WAIT, RecipientState.QUEUED, LATER),
        (GIVEN_UP, RecipientState.FAILED, None),
    ],
)
def test_state(step: Settled, state: RecipientState, next_at: datetime | None) -> None:
    outcomes: dict[type, Outcome] = {
        Done: OK,
        Wait: Deferred(failure=LOST),
        GiveUp: outcome_of(UNKNOWN),
    }
    (update,) = settle({A: step}, attempt(A, outcomes[type(step)])).updates
    assert (update.message_id, update.recipient) == ("m1", A)
    assert (update.state, update.next_at) == (state, next_at)


def test_a_delay_is_recorded_once_for_each_try() -> None:
    (bounce,) = settle({A: WAIT}, LATE).bounces
    assert (bounce.action, bounce.will_retry_at) == (BounceAction.DELAYED, LATER)
    assert str(bounce.status) == "451 4.4.2"
    assert settle({A: WAIT}, LATE, tried_now=()).bounces == ()


def test_a_failure_is_recorded_even_when_it_is_time_that_ran_out() -> None:
    expired = GiveUp(cause=LOST, expired=True)
    (bounce,) = settle({A: expired}, LATE, tried_now=()).bounces
    assert bounce.action is BounceAction.FAILED
    assert (str(bounce.status), str(bounce.cause_status)) == ("554 5.4.7", "451 4.4.2")


# NOTIFY of RFC 3461 section 4.1, typed by hand: what was asked, what happened, what is sent.
@pytest.mark.parametrize(
    ("asked", "step", "tries", "told"),
    [
        (None, GIVEN_UP, (REFUSED,), "failed"),
        ((Notify.FAILURE,), GIVEN_UP, (REFUSED,), "failed"),
        (NEVER, GIVEN_UP, (REFUSED,), None),
        ((Notify.SUCCESS,), GIVEN_UP, (REFUSED,), None),
        ((Notify.DELAY,), GIVEN_UP, (REFUSED,), None),
        (None, WAIT, (LATE,), None),
        ((Notify.DELAY,), WAIT, (LATE,), "delayed"),
        ((Notify.FAILURE,), WAIT, (LATE,), None),
        (NEVER, WAIT, (LATE,), None),
        ((Notify.DELAY,), WAIT, (LATE, attempt(A, Deferred(failure=LOST), 2)), None),
        (None, Done(), (attempt(A, OK),), None),
        ((Notify.SUCCESS,), Done(), (attempt(A, OK),), "relayed"),
        ((Notify.SUCCESS,), Done(), (attempt(A, replace(OK, dsn=True)),), None),
        ((Notify.FAILURE, Notify.DELAY), Done(), (attempt(A, OK),), None),
    ],
)
def test_the_sender_is_told_what_it_asked_for(
    asked: tuple[Notify, ...] | None, step: Settled, tries: tuple[Attempt, ...], told: str | None
) -> None:
    about = envelope() if asked is None else envelope(a=asked)
    settlement = settle({A: step}, *tries, about=about)
    assert actions(settlement) == ([] if told is None else [(f"rfc822; {A}", told)])
    for bounce in settlement.bounces:
        assert bounce.notified is (Notified.NOBODY if told is None else Notified.SENDER)


def test_one_notification_for_all_recipients_of_a_round() -> None:
    settlement = settle(
        {A: GIVEN_UP, B: Done()},
        REFUSED,
        attempt(B, OK),
        about=envelope(a=ALL, b=ALL),
    )
    assert actions(settlement) == [(f"rfc822; {A}", "failed"), (f"rfc822; {B}", "relayed")]


@pytest.mark.parametrize("asked", [ALL, NEVER])
def test_a_null_reverse_path_is_never_told(asked: tuple[Notify, ...]) -> None:
    about = replace(envelope(a=asked, b=asked), reverse_path="")
    for step, tried in ((GIVEN_UP, REFUSED), (WAIT, LATE), (Done(), attempt(A, OK))):
        settlement = settle({A: step}, tried, about=about)
        assert settlement.notifications == ()
        assert all(b.notified is Notified.NOBODY for b in settlement.bounces)


def test_a_client_that_gets_the_code_itself_is_the_only_one_told() -> None:
    settlement = settle({A: GIVEN_UP}, REFUSED, client_waits=True)
    assert settlement.notifications == ()
    assert [b.notified for b in settlement.bounces] == [Notified.CLIENT]
    partly = settle({A: GIVEN_UP, B: Done()}, REFUSED, attempt(B, OK), client_waits=True)
    assert [b.notified for b in partly.bounces] == [Notified.SENDER]


def test_a_notification_is_a_message_of_its_own_that_asks_for_none() -> None:
    (notification,) = settle({A: GIVEN_UP}, REFUSED).notifications
    made = notification.envelope
    assert made.reverse_path == ""
    assert made.recipients == ("sender@example.test",)
    assert made.notification_for == "m1"
    assert made.dsn == DsnRequest()
    assert made.size == len(notification.content)
    assert notification.state is RecipientState.QUEUED


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("tls: Preferred\n", None),
        ("tls: Preferred Verify\n", None),
        ("tls: Required\n", TlsSetting.REQUIRED),
        ("tls: Off\nrules: [{match: two.test, tls: Required}]\n", TlsSetting.REQUIRED),
        (
            "tls: Required\nrules: [{match: two.test, tls: Required Verify}]\n",
            TlsSetting.REQUIRED_VERIFY,
        ),
    ],
)
def test_a_notification_is_protected_as_the_strictest_of_what_it_tells_of(
    policy: str, expected: TlsSetting | None
) -> None:
    loaded = load_policy_text(policy, name="p.yaml")
    (notification,) = settle({A: GIVEN_UP}, REFUSED, policy=loaded).notifications
    assert notification.envelope.protect_as is expected


MANAGED = "salesforce: {bounce_management: {return_to_sender: %s}}\n"


@pytest.mark.parametrize(
    ("returns", "reverse_path", "asked", "client_waits", "told"),
    [
        ("false", "s@example.test", None, False, Notified.BOUNCE_MANAGEMENT),
        ("true", "s@example.test", None, False, Notified.SENDER),
        ("false", "s@example.test", NEVER, False, Notified.NOBODY),
        ("false", "", None, False, Notified.NOBODY),
        ("false", "s@example.test", None, True, Notified.CLIENT),
        ("true", "s@example.test", None, True, Notified.CLIENT),
    ],
)
def test_who_is_told_under_bounce_management(
    returns: str,
    reverse_path: str,
    asked: tuple[Notify, ...] | None,
    client_waits: bool,
    told: Notified,
) -> None:
    about = replace(envelope() if asked is None else envelope(a=asked), reverse_path=reverse_path)
    settlement = settle(
        {A: GIVEN_UP},
        REFUSED,
        about=about,
        policy=load_policy_text(MANAGED % returns, name="p.yaml"),
        client_waits=client_waits,
    )
    assert [b.notified for b in settlement.bounces] == [told]
    assert len(settlement.notifications) == (told is Notified.SENDER)


def test_an_expired_message_s_reason_names_the_last_failure() -> None:
    late = GiveUp(cause=LOST, expired=True)
    policy = load_policy_text(MANAGED % "false", name="p.yaml")
    (bounce,) = settle({A: late}, LATE, policy=policy).bounces
    assert bounce.salesforce is not None
    assert bounce.salesforce.kind is BounceKind.HARD
    assert bounce.salesforce.email_bounced_reason == (
        "554 5.4.7 [internal] exceeded max time without delivery "
        "(last: 451 4.4.2 [internal] connection closed by remote host)"
    )


@pytest.mark.parametrize(
    ("routing", "why"),
    [
        ("", FlagReason.USER_UNKNOWN),
        ("routes: [{match: one.test, to: mx.one.test}]\n", FlagReason.USER_UNKNOWN),
        ("relay: mx.other.test\n", FlagReason.NOT_RECIPIENT_HOST),
    ],
)
def test_whose_words_they_are(routing: str, why: FlagReason) -> None:
    switch = "salesforce: {bounce_management: {flag_contact_on: user-unknown}}\n"
    policy = load_policy_text(switch + routing, name="p.yaml")
    (bounce,) = settle({A: GIVEN_UP}, REFUSED, policy=policy).bounces
    assert bounce.salesforce is not None
    assert bounce.salesforce.why is why
