"""The judgement of a proof, by sessions that are written down here line by line."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from relay.audit.promises import PROMISES, Delivery, MayShow
from relay.audit.proof import (
    ATTEMPTS,
    LINGER,
    Marked,
    Reported,
    ScenarioProof,
    Told,
    Verdict,
    is_settled,
    judge_scenario,
    mark_of,
)
from relay.audit.prove import notified, promises_of
from relay.core.settings import TlsSetting
from relay.core.transcripts import Direction, TranscriptLog
from relay.lab.catalogue import LAB_SCENARIOS
from relay.lab.received import ReceivedMessage, ReceivedSession

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
MARK, OTHER = mark_of(1, 1), mark_of(1, 2)
FINAL = Reported(by=Told.REPLY, text="451 4.7.5 no", final=True)
TAKEN = Reported(by=Told.REPLY, text="250 ok", final=False)


def session(
    *lines: str, receiver: str = "expired", clear: int = 0, content: bytes | None = None
) -> ReceivedSession:
    """Return a session; a line that begins with ~ came under TLS."""
    log = TranscriptLog(lambda: AT)
    log.reply(Direction.SENT, 220, "ready", encrypted=False)
    commands = []
    for line in lines:
        if line.startswith("note "):
            log.note(line.removeprefix("note "))
            continue
        text = line.removeprefix("~")
        log.command(Direction.RECEIVED, text, encrypted=line.startswith("~"))
        log.reply(Direction.SENT, 250, "ok", encrypted=line.startswith("~"))
        commands.append(text.partition(" ")[0])
    encrypted = any(line.startswith("~") for line in lines)
    recipients = tuple(
        line.partition("<")[2].removesuffix(">") for line in lines if "RCPT TO" in line
    )
    message = ReceivedMessage(
        reverse_path="x@example.test",
        recipients=recipients,
        content=content or b"",
        encrypted=encrypted,
        at=AT,
    )
    return ReceivedSession(
        id="s1", receiver=receiver, peer="127.0.0.1:1", started_at=AT, ended_at=AT,
        transcript=log.lines, tls_version="TLSv1.3" if encrypted else None, cipher=None,
        handshake_error=None, auth_seen="AUTH" in commands, commands=tuple(commands),
        octets_received=len(lines) * 10, data_octets=len(content or b""),
        plaintext_discarded=clear, messages=(message,) if content is not None else (),
        messages_forgotten=0,
    )  # fmt: skip


def envelope(mark: str = MARK, prefix: str = "") -> list[str]:
    return [
        f"{prefix}MAIL FROM:<{mark}@good.lab.test>",
        f"{prefix}RCPT TO:<{mark}@x.lab.test>",
        f"{prefix}DATA",
        "note 9 octets of message data received",
    ]


NOTHING = session("EHLO a", "STARTTLS")


def tries(*sessions: ReceivedSession, apart: float = 60.0) -> list[ReceivedSession]:
    """Return the sessions so many seconds apart."""
    return [
        replace(one, started_at=(at := AT + timedelta(seconds=apart * number)), ended_at=at)
        for number, one in enumerate(sessions)
    ]


def judged(
    *sessions: ReceivedSession,
    scenario: str = "expired",
    claim: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    reported: Reported | None = FINAL,
    known_good: bool = True,
    whole: tuple[str, ...] = (),
) -> ScenarioProof:
    return judge_scenario(
        Marked(scenario=scenario, mark=MARK, recipient=f"{MARK}@x.lab.test", whole=whole),
        promises_of(claim),
        sessions,
        reported=reported,
        known_good=known_good,
    )


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
    sessions: list[ReceivedSession], *, after: timedelta, reported: Reported | None = None
) -> bool:
    """Judge these sessions; return whether all is over this long after the last one's end."""
    marked = Marked(scenario="expired", mark=MARK, recipient=f"{MARK}@x.lab.test")
    proof = judged(*sessions, reported=reported)
    ends = [one.ended_at for one in sessions if one.ended_at is not None]
    return is_settled(marked, proof, sessions, reported=reported, now=max(ends) + after)


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


def test_what_has_an_end_of_its_own_is_not_lingered_for() -> None:
    at_once = timedelta()
    assert settled(tries(NOTHING), after=at_once, reported=FINAL)
    assert not settled(tries(NOTHING), after=timedelta(days=1), reported=TAKEN)
    delivered = session("EHLO a", "STARTTLS", *envelope(prefix="~"), content=MARK.encode())
    assert settled([delivered], after=at_once)
