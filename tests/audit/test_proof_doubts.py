"""What looks like a refusal and is none, or may be none: a proof must not call it enforced."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from proof_sessions import (
    AT,
    FINAL,
    LOCAL,
    MARK,
    NOTHING,
    OTHER,
    TAKEN,
    envelope,
    judged,
    session,
    tries,
)

from relay.audit.proof import Reported, Told, Verdict
from relay.audit.proof_file import Proof
from relay.audit.proof_report import report
from relay.audit.prove import ScenarioRecord
from relay.audit.shown import Marked
from relay.audit.tries import LINGER, Origins
from relay.core.settings import TlsSetting
from relay.core.transcripts import MAX_LINES
from relay.lab.received import ReceivedSession

STRANGER = "198.51.100.7:2525"


def long_session(*lines: str, content: bytes | None = None) -> ReceivedSession:
    """Return a session whose transcript ends before these lines come."""
    return session("EHLO a", *["NOOP"] * MAX_LINES, *lines, content=content)


def test_a_message_that_a_receiver_kept_is_a_leak_whatever_the_transcript_leaves_out() -> None:
    found = judged(long_session(*envelope(), content=MARK.encode()))
    assert found.verdict is Verdict.LEAKED
    assert found.because.startswith("the message came in clear text")
    kept_under_tls = long_session(*envelope(prefix="~"), content=MARK.encode())
    assert judged(kept_under_tls).verdict is Verdict.LEAKED
    good = replace(kept_under_tls, receiver="good")
    assert judged(good, scenario="good", reported=TAKEN).verdict is Verdict.INCONCLUSIVE


def test_a_record_with_gaps_proves_no_absence() -> None:
    assert judged(long_session("MAIL FROM:<a@b.test>")).verdict is Verdict.INCONCLUSIVE
    found = judged(NOTHING, long_session(*envelope(OTHER), content=b"x"))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "leaves out lines" in found.because
    found = judged(
        NOTHING, session("EHLO a", "note a line of 30 characters that is no command, not kept")
    )
    assert found.verdict is Verdict.INCONCLUSIVE
    clear_is_allowed = replace(long_session(), receiver="no-starttls")
    claim = TlsSetting.PREFERRED
    found = judged(clear_is_allowed, scenario="no-starttls", claim=claim, reported=FINAL)
    assert found.verdict is Verdict.OVER_BLOCKED


@pytest.mark.parametrize("prefix", ["", "~"])
def test_mail_under_other_addresses_whose_content_was_not_kept_may_be_this_message(
    prefix: str,
) -> None:
    other = [f"{prefix}MAIL FROM:<srs0=x@relay.test>", f"{prefix}RCPT TO:<alias@x.lab.test>"]
    cut_off = session("EHLO a", *other, f"{prefix}DATA", "note 9 octets of message data received")
    for unknown in (cut_off, session("EHLO a", *other)):
        found = judged(NOTHING, unknown)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert "bears no mark" in found.because
        # Under TLS anything may be shown to an honest receiver.
        at_good = [replace(one, receiver="good") for one in (NOTHING, unknown)]
        honest = judged(*at_good, scenario="good", reported=FINAL)
        assert honest.verdict is (Verdict.OVER_BLOCKED if prefix else Verdict.INCONCLUSIVE)
    # Its content was kept, and bears no mark.
    others = session("EHLO a", *other, f"{prefix}DATA", content=b"newsletter")
    assert judged(NOTHING, others).verdict is Verdict.ENFORCED


def test_a_report_about_a_message_is_no_copy_of_it() -> None:
    """The sender's address is the known-good receiver's, so its notification comes there, too."""
    content = f"{MARK} begins\r\n{MARK} ends".encode()
    copy = session("EHLO a", "STARTTLS", *envelope(prefix="~"), receiver="good", content=content)
    (message,) = copy.messages
    report = replace(copy, messages=(replace(message, reverse_path=""),))
    whole = (f"{MARK} begins", f"{MARK} ends")
    found = judged(copy, scenario="good", reported=TAKEN, whole=whole)
    assert found.verdict is Verdict.ENFORCED
    found = judged(report, scenario="good", reported=TAKEN, whole=whole)
    assert found.verdict is Verdict.INCONCLUSIVE
    found = judged(report, scenario="good", reported=FINAL, whole=whole)
    assert found.verdict is Verdict.OVER_BLOCKED


def test_tries_that_were_not_watched_to_their_end_are_no_verdict() -> None:
    """The wait was over, or somebody pressed Ctrl-C, between a try and its fallback."""
    sessions = tries(NOTHING, NOTHING, NOTHING)
    end = sessions[-1].ended_at
    assert end is not None
    short = end + LINGER - timedelta(milliseconds=1)
    found = judged(*sessions, reported=None, until=short)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "was not watched for 2 seconds more" in found.because
    assert judged(*sessions, reported=None, until=end + LINGER).verdict is Verdict.ENFORCED
    found = judged(*tries(*[NOTHING] * 4), reported=None, until=end + timedelta(minutes=1))
    assert found.verdict is Verdict.ENFORCED


def stranger(*lines: str, content: bytes | None = None) -> ReceivedSession:
    return replace(session(*lines, content=content), peer=STRANGER)


def test_visits_of_strangers_are_no_tries() -> None:
    scans = tries(*[stranger("EHLO scanner.example.org", "STARTTLS")] * 3)
    for reported in (None, FINAL):
        found = judged(*scans, reported=reported)
        assert found.verdict is Verdict.INCONCLUSIVE
        assert found.attempts == 0
        assert "no connection of the sender's, and 3 of others" in found.because
        assert STRANGER in found.evidence[0]
    assert judged(*tries(*scans, NOTHING), reported=TAKEN).verdict is Verdict.INCONCLUSIVE
    assert judged(*scans, *tries(*[NOTHING] * 3), reported=None).verdict is Verdict.ENFORCED


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("smtp07.mta.example.com", Verdict.ENFORCED),
        ("SMTP8.MTA.example.com.", Verdict.ENFORCED),
        ("smtp07.mta.example.org", Verdict.INCONCLUSIVE),
        ("localhost", Verdict.INCONCLUSIVE),
        ("[203.0.113.9]", Verdict.INCONCLUSIVE),
    ],
)
def test_a_sender_with_many_addresses_is_known_by_its_name(name: str, verdict: Verdict) -> None:
    good = session("EHLO smtp01.mta.example.com", *envelope(), receiver="good")
    origins = Origins.of([replace(good, peer="203.0.113.1:1"), session("EHLO localhost")])
    found = judged(stranger(f"EHLO {name}", "STARTTLS"), origins=origins)
    assert found.verdict is verdict


def test_what_a_stranger_shows_is_neither_a_leak_nor_overlooked() -> None:
    guesses = stranger("EHLO ylmf-pc", "AUTH LOGIN YWRtaW4=")
    found = judged(NOTHING, guesses)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "AUTH came in clear text; whether it is the sender's" in found.because
    assert any(line == "LEAK <-- AUTH LOGIN [redacted]" for line in found.evidence)
    # A leak of the sender's is one all the same.
    assert judged(guesses, session("EHLO a", *envelope())).verdict is Verdict.LEAKED
    # Spam for somebody else, whether or not it was taken.
    spam = ("EHLO ylmf-pc", "MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>")
    assert judged(NOTHING, stranger(*spam)).verdict is Verdict.ENFORCED
    assert judged(NOTHING, stranger(*spam, "DATA", content=b"x")).verdict is Verdict.ENFORCED
    # A mark is known wherever it comes from.
    assert judged(NOTHING, stranger("EHLO x", *envelope())).verdict is Verdict.LEAKED


def test_a_message_that_was_never_handed_over_was_never_refused() -> None:
    reported = Reported(by=Told.NOT_HANDED_OVER, text="421 too many connections", final=False)
    found = judged(*tries(*[NOTHING] * 4), reported=reported)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert found.because == "the message was never handed over: 421 too many connections"
    assert judged(session("EHLO a", *envelope()), reported=reported).verdict is Verdict.LEAKED


def test_what_was_shown_as_the_claim_allows_is_not_said_to_be_nothing() -> None:
    refused = session("EHLO a", "STARTTLS", *envelope(prefix="~")[:2], receiver="mailbox-full")
    found = judged(refused, scenario="mailbox-full")
    assert found.verdict is Verdict.ENFORCED
    assert found.because.startswith("nothing was shown that the claim forbids; after 1 attempt")


def test_the_known_good_message_alone_tells_where_the_sender_is() -> None:
    assert LOCAL.has(NOTHING)
    assert not LOCAL.has(replace(NOTHING, peer=STRANGER))
    assert not Origins.of([]).has(replace(NOTHING, peer="unknown"))
    assert judged(NOTHING, origins=Origins.of([]), until=AT).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("lines", "content", "received"),
    [
        (("EHLO a", "STARTTLS"), None, "nothing"),
        (("EHLO a", "AUTH PLAIN AGEAYg=="), None, "credentials"),
        (("EHLO a", *envelope()[:2]), None, "the envelope"),
        (("EHLO a", *envelope(OTHER)), b"x", "nothing"),
        (("EHLO a", *envelope()), MARK.encode(), "the message"),
    ],
)
def test_a_report_says_what_was_received(
    lines: tuple[str, ...], content: bytes | None, received: str
) -> None:
    one = session(*lines, content=content)
    record = ScenarioRecord(
        marked=Marked(scenario="expired", mark=MARK, recipient=f"{MARK}@x.lab.test"),
        unavailable=None,
        reported=FINAL,
        sessions=(one,),
        proof=judged(one),
    )
    shown = report(
        Proof(
            run="00000001",
            claim=TlsSetting.REQUIRED_VERIFY,
            promises_sha256="",
            sender="somebody",
            policy=None,
            versions={},
            started_at=AT,
            ended_at=AT,
            scenarios=(record,),
        )
    )
    (row,) = shown.rows
    assert row.cells[-1].text == received
