"""What a message to many recipients costs: its outcomes are gone through a few times in all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import record_builders as build

from relay.config.policy_file import load_policy_text
from relay.core.dsn import DsnRequest, Notify, RecipientRequest
from relay.core.outcomes import Outcome, PeerRefusal, Stage, outcome_of
from relay.core.records import Attempt, Envelope, RecipientOutcome
from relay.core.replies import Reply
from relay.core.steps import Done, GiveUp
from relay.engine.in_hand import InHand
from relay.engine.settling import Round, Settled, Settler
from relay.outbound.dsn_parameters import rcpt_options

AT = datetime(2026, 5, 6, tzinfo=UTC)
RECIPIENTS = tuple(f"r{number}@peer.test" for number in range(200))
UNKNOWN = PeerRefusal(reply=Reply(code=550, text="5.1.1 unknown"), stage=Stage.RCPT)
ENVELOPE = build.envelope(reverse_path="", recipients=RECIPIENTS)


class Counted(tuple[RecipientOutcome, ...]):
    """Outcomes that count how often somebody goes through them."""

    walks = 0

    def __iter__(self) -> Iterator[RecipientOutcome]:
        type(self).walks += 1
        return super().__iter__()


def attempt(outcome: Outcome, number: int) -> Attempt:
    Counted.walks = 0
    return build.attempt(
        id=f"a{number}",
        round=number,
        verdict=None,
        outcomes=Counted(RecipientOutcome(recipient=r, outcome=outcome) for r in RECIPIENTS),
    )


class Asked(tuple[RecipientRequest, ...]):
    """Requests that count how often somebody looks at one of them."""

    looks = 0

    def __iter__(self) -> Iterator[RecipientRequest]:
        for request in super().__iter__():
            type(self).looks += 1
            yield request

    def __reversed__(self) -> Iterator[RecipientRequest]:
        type(self).looks += len(self)
        return reversed(tuple(super().__iter__()))


def asked_by_all() -> Envelope:
    """Return a message whose every recipient has a NOTIFY and an ORCPT of its own."""
    Asked.looks = 0
    requests = Asked(
        RecipientRequest(recipient=r, notify=tuple(Notify), original=f"rfc822;was-{r}")
        for r in RECIPIENTS
    )
    return replace(ENVELOPE, reverse_path="a@b.test", dsn=DsnRequest(recipients=requests))


def settled(envelope: Envelope, step: Settled, attempts: list[Attempt]) -> bytes:
    """Settle a round that leaves every recipient at this step; return the one notification."""
    settler = Settler(hostname="relay.test", new_id=iter(map(str, range(1000))).__next__)
    settlement = settler.settle(
        Round(
            envelope=envelope,
            content=b"Subject: x\r\n\r\n",
            steps=dict.fromkeys(RECIPIENTS, step),
            attempts=attempts,
            tried_now=RECIPIENTS,
            policy=load_policy_text("tls: Preferred\n", name="p.yaml"),
            at=AT,
            client_waits=False,
        )
    )
    (notification,) = settlement.notifications
    return notification.content


def test_histories_are_kept_and_not_searched_for() -> None:
    first, second = attempt(outcome_of(UNKNOWN), 1), attempt(build.OK, 2)
    message = InHand(envelope=ENVELOPE, content=b"", recipients=RECIPIENTS, attempts=[first])
    message.add(second)
    assert message.attempts == [first, second]
    walked = Counted.walks
    for recipient in RECIPIENTS:
        assert list(message.history(recipient)) == [first.tried(recipient), second.tried(recipient)]
        # The two that are compared with go through the outcomes; the history does not.
        walked += 2
    assert Counted.walks == walked
    assert not message.history("stranger@peer.test")


def test_failures_are_told_without_a_search_for_each() -> None:
    attempts = [attempt(outcome_of(UNKNOWN), number) for number in (1, 2)]
    settler = Settler(hostname="relay.test", new_id=iter(map(str, range(1000))).__next__)
    settlement = settler.settle(
        Round(
            envelope=ENVELOPE,
            content=b"",
            steps=dict.fromkeys(RECIPIENTS, GiveUp(cause=UNKNOWN, expired=False)),
            attempts=attempts,
            tried_now=RECIPIENTS,
            policy=load_policy_text("tls: Preferred\n", name="p.yaml"),
            at=AT,
            client_waits=False,
        )
    )
    assert [bounce.recipient for bounce in settlement.bounces] == list(RECIPIENTS)
    assert {bounce.attempts for bounce in settlement.bounces} == {2}
    assert Counted.walks == len(attempts)


def test_what_every_recipient_asked_is_looked_up_and_not_searched_for() -> None:
    envelope = asked_by_all()
    options = [rcpt_options(envelope, recipient, smtputf8=False) for recipient in RECIPIENTS]
    assert options == [
        (b"NOTIFY=SUCCESS,FAILURE,DELAY", f"ORCPT=rfc822;was-{r}".encode()) for r in RECIPIENTS
    ]
    assert Asked.looks <= 2 * len(RECIPIENTS)


def test_failures_of_recipients_that_all_asked_are_reported_without_a_search_for_each() -> None:
    attempts = [attempt(outcome_of(UNKNOWN), number) for number in (1, 2)]
    report = settled(asked_by_all(), GiveUp(cause=UNKNOWN, expired=False), attempts)
    assert [r for r in RECIPIENTS if f"was-{r}".encode() not in report] == []
    assert Asked.looks <= 2 * len(RECIPIENTS)
    assert Counted.walks <= 2 * len(attempts)


def test_deliveries_that_all_asked_to_hear_of_are_reported_without_a_search_for_each() -> None:
    attempts = [attempt(outcome_of(UNKNOWN), 1), attempt(build.OK, 2)]
    report = settled(asked_by_all(), Done(), attempts)
    assert report.count(b"Action: relayed") == len(RECIPIENTS)
    assert Asked.looks <= 2 * len(RECIPIENTS)
    assert Counted.walks <= 2 * len(attempts)
