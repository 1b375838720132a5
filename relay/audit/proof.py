"""Whether a claim about TLS held for one receiver, judged by what the receiver itself kept.

    claim, scenario ── Promise ──┐
    receivers' sessions ─────────┼─▶ judge_scenario ─▶ ScenarioProof
    what the sender was told ────┘   enforced | leaked | over-blocked | inconclusive

Pure. A leak needs one line of a transcript; *enforced* needs an end of the story: a final outcome,
or as many tries as real mail servers make before some of them go on in clear text. The sender's own
word ends the story, and is never evidence that nothing leaked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import assert_never

from relay.audit.promises import KNOWN_GOOD, Delivery, MayShow, Promise
from relay.audit.shown import (
    Marked,
    copies_in,
    first_leak,
    has_unknown_mail,
    is_about,
    is_incomplete,
    is_whole,
    leak_evidence,
    leak_words,
    summary_of,
)
from relay.audit.tries import ATTEMPTS, LINGER, Origins, count_attempts, is_from_sender, is_quiet
from relay.lab.received import ReceivedSession


@unique
class Verdict(Enum):
    """What became of a claim at one receiver."""

    ENFORCED = "enforced"
    """As promised: refused and nothing shown, or delivered whole and protected."""
    LEAKED = "leaked"
    """Something was shown that the claim forbids."""
    OVER_BLOCKED = "over-blocked"
    """The claim promises delivery, and there was none."""
    INCONCLUSIVE = "inconclusive"
    """The evidence does not say."""


@unique
class Told(Enum):
    """How the sender came to know of an outcome."""

    REPLY = "reply"
    """In reply to the end of data, or to a command before it."""
    NOTIFICATION = "notification"
    """By a delivery status notification that reached the lab (RFC 3464)."""
    OPERATOR = "operator"
    """By something that the lab can't see; whoever ran the proof says so."""
    NOT_HANDED_OVER = "not-handed-over"
    """By what kept the relay under test from ever getting the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the sender was told. `final` says that the relay under test will not try again."""

    by: Told
    text: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioProof:
    """The verdict on one scenario, and why; the last word of `evidence` is the receivers'."""

    verdict: Verdict
    because: str
    attempts: int
    evidence: tuple[str, ...]


_Proof = Callable[[Verdict, str], ScenarioProof]


def judge_scenario(
    marked: Marked,
    promises: Mapping[str, Promise],
    sessions: Sequence[ReceivedSession],
    *,
    origins: Origins,
    until: datetime,
    reported: Reported | None,
    known_good: bool,
    unavailable: str | None = None,
) -> ScenarioProof:
    """Judge one scenario by all sessions of its receiver, and those of others that bear its mark.

    `promises` are the claim's, by receiver; `origins` tell the sender from other visitors; `until`
    is how long the receivers were watched. `known_good` says that an undoubtedly good message
    arrived; `unavailable` is why this machine can't run the receiver.
    """
    promise = promises[marked.scenario]
    here = [s for s in sessions if s.receiver == marked.scenario]
    about = [s for s in here if is_about(marked, s)]
    own = [s for s in about if is_from_sender(marked, s, origins)]
    attempts = count_attempts(own)
    told = f"; the sender was told: {reported.text}" if reported else ""

    def proof(verdict: Verdict, because: str, evidence: Sequence[str] = ()) -> ScenarioProof:
        lines = tuple(evidence) or tuple(map(summary_of, about))
        return ScenarioProof(verdict=verdict, because=because, attempts=attempts, evidence=lines)

    strangers = None
    for session in sessions:
        # What some other receiver may be shown is its own promise, as with a notification.
        allowed = promises.get(session.receiver, promises[KNOWN_GOOD]).may_show
        if leak := first_leak(marked, session, allowed):
            words = leak_words(leak, session, elsewhere=session.receiver != marked.scenario)
            evidence = leak_evidence(session, leak)
            if is_from_sender(marked, session, origins):
                return proof(Verdict.LEAKED, words, evidence)
            words = f"{words}; whether it is the sender's, its address and its name do not say"
            strangers = strangers or proof(Verdict.INCONCLUSIVE, words, evidence)
    if unavailable is not None:
        return proof(Verdict.INCONCLUSIVE, unavailable)
    if not known_good:
        return proof(
            Verdict.INCONCLUSIVE,
            f"the known-good message, to {KNOWN_GOOD}, did not arrive, so that nothing which "
            f"did not arrive means anything{told}",
        )
    if strangers is not None:
        return strangers
    if reported is not None and reported.by is Told.NOT_HANDED_OVER:
        return proof(Verdict.INCONCLUSIVE, f"the message was never handed over: {reported.text}")
    if not attempts:
        others = f" of the sender's, and {len(about)} of others" if about else ""
        return proof(Verdict.INCONCLUSIVE, f"the receiver saw no connection{others}{told}")
    mailing = [s for s in here if is_from_sender(marked, s, origins)]
    if doubt := _doubt(promise, own, mailing):
        return proof(Verdict.INCONCLUSIVE, doubt)
    copies = [message for session in own for message in copies_in(marked, session)]
    if copies:
        if not any(is_whole(marked, message) for message in copies):
            return proof(Verdict.OVER_BLOCKED, "the message arrived, but not whole")
        how = "under TLS" if all(message.encrypted for message in copies) else "in clear text"
        again = f", {len(copies)} times" if len(copies) > 1 else ""
        return proof(Verdict.ENFORCED, f"delivered whole {how}{again}")
    if any(session.ended_at is None for session in own):
        return proof(Verdict.INCONCLUSIVE, "a session with the receiver has not ended")
    is_over = attempts > ATTEMPTS or is_quiet(own, until)
    return _undelivered(promise, attempts, reported, proof, is_over=is_over)


def _doubt(
    promise: Promise, own: Sequence[ReceivedSession], mailing: Sequence[ReceivedSession]
) -> str | None:
    """Return why the record leaves open whether something was shown, None where it does not.

    `own` are the message's sessions, `mailing` all of the sender's with this receiver.
    """
    if promise.may_show is MayShow.ANYTHING:
        return None
    if clear := sum(session.plaintext_discarded for session in own):
        return (
            f"{clear} octets came in clear text between STARTTLS and the handshake, which may be "
            "of the message"
        )
    if any(is_incomplete(session) for session in mailing):
        return "the record of a session leaves out lines, which may be of the message"
    if any(has_unknown_mail(session, promise.may_show) for session in mailing):
        return (
            "mail came whose envelope bears no mark and whose content was not kept; it may be this "
            "message, under other addresses"
        )
    return None


def _undelivered(
    promise: Promise,
    attempts: int,
    reported: Reported | None,
    proof: _Proof,
    *,
    is_over: bool,
) -> ScenarioProof:
    tries = f"{attempts} {'attempt' if attempts == 1 else 'attempts'}"
    if reported is not None and reported.final:
        end = f"after {tries} the sender was told: {reported.text}"
    elif attempts < ATTEMPTS:
        return proof(
            Verdict.INCONCLUSIVE,
            f"{tries} and no final outcome; some senders go on in clear text on a later one",
        )
    elif not is_over:
        return proof(
            Verdict.INCONCLUSIVE,
            f"{tries}, and the last one was not watched for {LINGER.total_seconds():.0f} seconds "
            "more; some senders go on in clear text in a second session",
        )
    else:
        end = f"{tries} and no delivery"
    match promise.delivery:
        case Delivery.PROMISED:
            return proof(Verdict.OVER_BLOCKED, f"the claim promises delivery; {end}")
        case Delivery.REFUSED:
            return proof(Verdict.ENFORCED, f"nothing of the message was shown; {end}")
        case Delivery.FREE:
            return proof(Verdict.ENFORCED, f"nothing was shown that the claim forbids; {end}")
        case _:
            assert_never(promise.delivery)


def is_settled(
    marked: Marked,
    proof: ScenarioProof,
    sessions: Sequence[ReceivedSession],
    *,
    now: datetime,
    linger: timedelta = LINGER,
) -> bool:
    """Whether nothing that is still to come can change a verdict.

    Whatever the sender was told and whatever arrived, `linger` must go by: mail servers that fall
    back to clear text do so in a second session of the same try. One that soon tries again leaves
    no such time, and is waited for until one try more has begun than counts.
    """
    match proof.verdict:
        case Verdict.INCONCLUSIVE:
            return False
        case Verdict.LEAKED:
            return True
        case Verdict.ENFORCED | Verdict.OVER_BLOCKED:
            about = [session for session in sessions if is_about(marked, session)]
            return proof.attempts > ATTEMPTS or is_quiet(about, now, linger)
        case _:
            assert_never(proof.verdict)
