"""The judgement of a proof, by sessions that are written down here line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from proof_sessions import FINAL, MARK, NOTHING, OTHER, TAKEN, envelope, judged, session, tries

from relay.audit.promises import PROMISES, Delivery, MayShow
from relay.audit.proof import Reported, Told, Verdict, is_settled
from relay.audit.prove import notified
from relay.audit.shown import Marked
from relay.audit.tries import ATTEMPTS, LINGER
from relay.core.settings import TlsSetting
from relay.lab.catalogue import LAB_SCENARIOS
from relay.lab.received import ReceivedSession


def test_every_receiver_has_a_promise_and_nothing_else_has() -> None:
    assert set(PROMISES) == set(LAB_SCENARIOS)
    for row in PROMISES.values():
        assert list(row) == list(TlsSetting)


def test_a_stricter_claim_never_shows_more() -> None:
    order = list(MayShow)
    for row in PROMISES.values():
        for laxer, stricter in (
            (TlsSetting.OFF, TlsSetting.PREFERRED),
            (TlsSetting.PREFERRED, TlsSetting.REQUIRED),
            (TlsSetting.REQUIRED, TlsSetting.REQUIRED_VERIFY),
            (TlsSetting.PREFERRED, TlsSetting.PREFERRED_VERIFY),
            (TlsSetting.PREFERRED_VERIFY, TlsSetting.REQUIRED_VERIFY),
        ):
            assert order.index(row[laxer].may_show) >= order.index(row[stricter].may_show)
        for promise in row.values():
            assert (promise.delivery is Delivery.REFUSED) is (promise.may_show is MayShow.NOTHING)


@pytest.mark.parametrize(
    ("sessions", "reported", "verdict"),
    [
        ([NOTHING], FINAL, Verdict.ENFORCED),
        # Accepted, or not a word: a later try may go in clear.
        ([NOTHING], TAKEN, Verdict.INCONCLUSIVE),
        (tries(NOTHING, NOTHING), None, Verdict.INCONCLUSIVE),
        (tries(NOTHING, NOTHING, NOTHING), None, Verdict.ENFORCED),
        (tries(NOTHING, NOTHING, NOTHING), TAKEN, Verdict.ENFORCED),
        # Three sessions at once are one try, with its fallbacks.
        (tries(NOTHING, NOTHING, NOTHING, apart=0.1), None, Verdict.INCONCLUSIVE),
        # A session that goes on may still show something.
        ([*tries(NOTHING, NOTHING, NOTHING), replace(NOTHING, ended_at=None)],
         FINAL, Verdict.INCONCLUSIVE),
        # The sender's word alone is nothing.
        ([], FINAL, Verdict.INCONCLUSIVE),
        # Connected without a word is no attempt.
        (tries(session(), session(), session()), None, Verdict.INCONCLUSIVE),
        # Octets in clear text that nobody kept.
        ([session("EHLO a", "STARTTLS", clear=30)], FINAL, Verdict.INCONCLUSIVE),
        # One word of the envelope is a leak, whatever the sender was told.
        ([NOTHING, session("EHLO a", "MAIL FROM:<>")], FINAL, Verdict.LEAKED),
        ([session("EHLO a", *envelope(prefix="~"), content=b"x")], FINAL, Verdict.LEAKED),
        ([session("EHLO a", "AUTH PLAIN AGEAYg==")], FINAL, Verdict.LEAKED),
        # Content behind a refusal is shown all the same, and so is a command that nobody offers.
        ([session("EHLO a", f"Subject: {MARK}")], FINAL, Verdict.LEAKED),
        ([session("EHLO a", "BDAT 100 LAST")], FINAL, Verdict.LEAKED),
        # Another message's envelope is not this one's leak, but its session is no try either.
        ([session("EHLO a", *envelope(OTHER), content=b"x")], FINAL, Verdict.INCONCLUSIVE),
        ([session("EHLO a", *envelope(OTHER), content=b"x"), NOTHING], FINAL, Verdict.ENFORCED),
        # At a receiver that it was never meant for.
        ([NOTHING, session("EHLO a", *envelope(), receiver="good", content=b"x")],
         FINAL, Verdict.LEAKED),
        ([NOTHING, session("EHLO a", *envelope(prefix="~"), receiver="good", content=b"x")],
         FINAL, Verdict.ENFORCED),
        # Under another address, but with its content.
        ([session("EHLO a", *envelope("else"), content=MARK.encode())], FINAL, Verdict.LEAKED),
    ],
)  # fmt: skip
def test_a_receiver_that_must_get_nothing(
    sessions: list[ReceivedSession], reported: Reported | None, verdict: Verdict
) -> None:
    assert judged(*sessions, reported=reported).verdict is verdict


def good(prefix: str = "~", content: bytes = b"begins ends") -> ReceivedSession:
    return session("EHLO a", "STARTTLS", *envelope(prefix=prefix), receiver="good", content=content)


def test_a_receiver_that_must_get_everything() -> None:
    def at_good(*sessions: ReceivedSession, reported: Reported | None = TAKEN) -> Verdict:
        whole = ("begins", "ends")
        return judged(*sessions, scenario="good", reported=reported, whole=whole).verdict

    nothing = replace(NOTHING, receiver="good")
    assert at_good(good()) is Verdict.ENFORCED
    assert at_good(good(prefix="")) is Verdict.LEAKED
    assert at_good(good(content=b"begins")) is Verdict.OVER_BLOCKED
    assert at_good(nothing) is Verdict.INCONCLUSIVE
    assert at_good(nothing, reported=FINAL) is Verdict.OVER_BLOCKED
    assert at_good(*tries(nothing, nothing, nothing)) is Verdict.OVER_BLOCKED


def test_without_the_known_good_message_only_a_leak_means_anything() -> None:
    assert judged(NOTHING, known_good=False).verdict is Verdict.INCONCLUSIVE
    leak = session("EHLO a", *envelope())
    assert judged(leak, known_good=False).verdict is Verdict.LEAKED


def test_the_proving_line_is_the_first_that_the_claim_forbids() -> None:
    leaking = session("EHLO a", "NOOP", *envelope(OTHER), "RSET", *envelope(), content=b"x")
    proof = judged(leaking)
    (line,) = (line for line in proof.evidence if line.startswith("LEAK"))
    assert line == f"LEAK <-- MAIL FROM:<{MARK}@good.lab.test>"
    assert proof.because == "MAIL came in clear text; octets of messages: 1"


def test_under_a_claim_of_clear_text_nothing_is_a_leak() -> None:
    found = judged(
        session("EHLO a", *envelope(), receiver="no-starttls", content=b"x"),
        scenario="no-starttls",
        claim=TlsSetting.PREFERRED,
        reported=None,
    )
    assert found.verdict is Verdict.ENFORCED
    assert found.because == "delivered whole in clear text"


def test_a_notification_counts_when_it_says_failed() -> None:
    def message(action: str, mark: str = MARK) -> ReceivedSession:
        text = (
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
            "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; a.test\r\n"
            f"\r\nFinal-Recipient: rfc822; {mark}@x.lab.test\r\nAction: {action}\r\n"
            "Status: 5.7.1\r\n\r\n--b--\r\n"
        )
        found = session("EHLO a", *envelope(mark, "~"), receiver="good", content=text.encode())
        return replace(found, messages=(replace(found.messages[0], reverse_path=""),))

    marked = Marked(scenario="expired", mark=MARK, recipient=f"{MARK}@x.lab.test")
    told = notified(marked, [message("delayed"), message("failed")])
    assert told is not None
    assert told.final
    assert told.by is Told.NOTIFICATION
    assert "5.7.1" in told.text
    assert notified(marked, [message("delayed")]) is None
    assert notified(marked, [message("failed", OTHER)]) is None


def settled(
    sessions: list[ReceivedSession],
    *,
    after: timedelta,
    reported: Reported | None = None,
    scenario: str = "expired",
) -> bool:
    """Judge these sessions; return whether all is over this long after the last one's end."""
    marked = Marked(scenario=scenario, mark=MARK, recipient=f"{MARK}@x.lab.test")
    proof = judged(*sessions, scenario=scenario, reported=reported)
    ends = [one.ended_at for one in sessions if one.ended_at is not None]
    return is_settled(marked, proof, sessions, now=max(ends) + after)


def test_the_last_try_that_counts_is_given_time_to_go_on_in_clear_text() -> None:
    """Postfix at level `may`: the handshake fails, and a second session follows at once."""
    sessions = tries(*[NOTHING] * ATTEMPTS)
    assert judged(*sessions, reported=None).verdict is Verdict.ENFORCED
    assert not settled(sessions, after=LINGER - timedelta(milliseconds=1))
    assert settled(sessions, after=LINGER)
    # A sender that soon tries again leaves no such time between its tries.
    assert settled(tries(*[NOTHING] * (ATTEMPTS + 1)), after=timedelta())
    at = max(one.started_at for one in sessions) + timedelta(milliseconds=10)
    fallback = replace(session("EHLO a", *envelope(), content=b"x"), started_at=at, ended_at=at)
    assert judged(*sessions, fallback, reported=None).verdict is Verdict.LEAKED
    assert settled([*sessions, fallback], after=timedelta())


def test_whatever_the_sender_was_told_it_is_given_that_time() -> None:
    """A reply or a notification may come before the fallback; so may a copy under TLS."""
    short = LINGER - timedelta(milliseconds=1)
    assert not settled(tries(NOTHING), after=short, reported=FINAL)
    assert settled(tries(NOTHING), after=LINGER, reported=FINAL)
    assert not settled(tries(NOTHING), after=timedelta(days=1), reported=TAKEN)
    delivered = session(
        "EHLO a", "STARTTLS", *envelope(prefix="~"), receiver="good", content=MARK.encode()
    )
    assert not settled([delivered], after=short, scenario="good")
    assert settled([delivered], after=LINGER, scenario="good")
    # What leaked does so once and for all.
    assert settled([session("EHLO a", *envelope())], after=timedelta())


def test_a_session_that_is_kept_open_is_waited_for_from_its_last_line() -> None:
    pooled = session(
        "EHLO a", "STARTTLS", *envelope(prefix="~"), receiver="good", content=MARK.encode()
    )
    at = pooled.transcript[-1].at
    open_one = replace(pooled, ended_at=None)
    marked = Marked(scenario="good", mark=MARK, recipient=f"{MARK}@x.lab.test")
    proof = judged(open_one, scenario="good", reported=TAKEN)
    assert proof.verdict is Verdict.ENFORCED
    assert is_settled(marked, proof, [open_one], now=at + LINGER)
    assert not is_settled(marked, proof, [open_one], now=at)
