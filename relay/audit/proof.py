"""Whether a claim about TLS held for one receiver, judged by what the receiver itself kept.

    claim, scenario ── Promise ──┐
    receivers' sessions ─────────┼─▶ judge_scenario ─▶ ScenarioProof
    what the sender was told ────┘   enforced | leaked | over-blocked | inconclusive

Pure. A leak needs one line of a transcript; *enforced* needs an end of the story: a final outcome,
or as many tries as real mail servers make before some of them go on in clear text. The sender's own
word ends the story, and is never evidence that nothing leaked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, unique
from typing import Final, assert_never

from relay.audit.promises import KNOWN_GOOD, Delivery, MayShow, Promise
from relay.core.transcripts import Direction, Line
from relay.lab.received import ReceivedMessage, ReceivedSession

ATTEMPTS: Final = 3
"""Tries that must be seen where there is no final outcome: Postfix goes in clear on a later one."""
APART: Final = timedelta(seconds=0.5)
"""Sessions less than this apart are one try: a sender falls back in a second session at once."""
LINGER: Final = timedelta(seconds=2)
"""What a sender that goes on at once in clear text gets for it, after the last try that counts."""
MARK_FORM: Final = re.compile(r"rlp-[0-9a-f]{8}-[0-9a-f]{8}")
"""What `mark_of` returns."""
_DATA_NOTE: Final = re.compile(r"([1-9][0-9]*) octets of message data received")
_SHOWN: Final = 40
"""Lines of a leaking session's transcript that become evidence."""


def mark_of(run: int, number: int) -> str:
    """Return the mark of one message of one run, of 32 random bits each: a local part, too."""
    return f"rlp-{run:08x}-{number:08x}"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What the sender was told. `final` says that the relay under test will not try again."""

    by: Told
    text: str
    final: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A message that was, or is to be, sent: `whole` are lines that must arrive if it does.

    `whole` is empty for a message that somebody else writes.
    """

    scenario: str
    mark: str
    recipient: str
    whole: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioProof:
    """The verdict on one scenario, and why; the last word of `evidence` is the receivers'."""

    verdict: Verdict
    because: str
    attempts: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """Something of the message, or credentials, that a receiver got."""

    at: int
    """The line's place in the transcript."""
    what: str
    encrypted: bool


def judge_scenario(
    marked: Marked,
    promises: Mapping[str, Promise],
    sessions: Sequence[ReceivedSession],
    *,
    reported: Reported | None,
    known_good: bool,
    unavailable: str | None = None,
) -> ScenarioProof:
    """Judge one scenario by all sessions of its receiver, and those of others that bear its mark.

    `promises` are the claim's, by receiver. `known_good` says that an undoubtedly good message
    arrived; `unavailable` is why this machine can't run the receiver.
    """
    promise = promises[marked.scenario]
    own = [s for s in sessions if s.receiver == marked.scenario and is_about(marked, s)]
    attempts = _attempts(own)
    told = f"; the sender was told: {reported.text}" if reported else ""

    def proof(verdict: Verdict, because: str, evidence: Sequence[str] = ()) -> ScenarioProof:
        lines = tuple(evidence) or tuple(map(summary_of, own))
        return ScenarioProof(verdict=verdict, because=because, attempts=attempts, evidence=lines)

    for session in sessions:
        # What some other receiver may be shown is its own promise, as with a notification.
        allowed = promises.get(session.receiver, promises[KNOWN_GOOD]).may_show
        if leak := _leak(marked, session, allowed):
            return proof(
                Verdict.LEAKED,
                _words(leak, session, elsewhere=session.receiver != marked.scenario),
                _transcript(session, leak),
            )
    if unavailable is not None:
        return proof(Verdict.INCONCLUSIVE, unavailable)
    if not known_good:
        return proof(
            Verdict.INCONCLUSIVE,
            f"the known-good message, to {KNOWN_GOOD}, did not arrive, so that nothing which "
            f"did not arrive means anything{told}",
        )
    if not attempts:
        return proof(Verdict.INCONCLUSIVE, f"the receiver saw no connection{told}")
    clear = sum(session.plaintext_discarded for session in own)
    if clear and promise.may_show is not MayShow.ANYTHING:
        return proof(
            Verdict.INCONCLUSIVE,
            f"{clear} octets came in clear text between STARTTLS and the handshake, and the "
            "receiver did not keep them",
        )
    copies = [message for session in own for message in _messages(marked, session)]
    if copies:
        if not any(_is_whole(marked, message) for message in copies):
            return proof(Verdict.OVER_BLOCKED, "the message arrived, but not whole")
        how = "under TLS" if all(message.encrypted for message in copies) else "in clear text"
        again = f", {len(copies)} times" if len(copies) > 1 else ""
        return proof(Verdict.ENFORCED, f"delivered whole {how}{again}")
    if any(session.ended_at is None for session in own):
        return proof(Verdict.INCONCLUSIVE, "a session with the receiver has not ended")
    return _undelivered(promise, attempts, reported, proof)


def _undelivered(
    promise: Promise,
    attempts: int,
    reported: Reported | None,
    proof: Callable[[Verdict, str], ScenarioProof],
) -> ScenarioProof:
    tries = f"{attempts} {'attempt' if attempts == 1 else 'attempts'}"
    if reported is not None and reported.final:
        end = f"after {tries} the sender was told: {reported.text}"
    elif attempts >= ATTEMPTS:
        end = f"{tries} and no delivery"
    else:
        return proof(
            Verdict.INCONCLUSIVE,
            f"{tries} and no final outcome; some senders go on in clear text on a later one",
        )
    match promise.delivery:
        case Delivery.PROMISED:
            return proof(Verdict.OVER_BLOCKED, f"the claim promises delivery; {end}")
        case Delivery.FREE | Delivery.REFUSED:
            return proof(Verdict.ENFORCED, f"nothing of the message was shown; {end}")
        case _:
            assert_never(promise.delivery)


def is_settled(
    marked: Marked,
    proof: ScenarioProof,
    sessions: Sequence[ReceivedSession],
    *,
    reported: Reported | None,
    now: datetime,
) -> bool:
    """Whether nothing that is still to come can change a verdict.

    A verdict that rests on the number of tries waits for one more, or LINGER from the end of the
    last one: mail servers that fall back do so in a second session of the same try.
    """
    if proof.verdict is Verdict.INCONCLUSIVE:
        return False
    by_count = not (
        proof.verdict is Verdict.LEAKED
        or (reported is not None and reported.final)
        or any(_messages(marked, session) for session in sessions)
    )
    return (
        not by_count
        or proof.attempts > ATTEMPTS
        or all(one.ended_at is not None and now - one.ended_at >= LINGER for one in sessions)
    )


def is_about(marked: Marked, session: ReceivedSession) -> bool:
    """Whether a session is about this message: all that are not about others alone."""
    transactions = list(_transactions(session))
    return not transactions or any(_is_ours(marked, session, t) for t in transactions)


def bears(marked: Marked, session: ReceivedSession) -> bool:
    """Whether the mark stands in a session's envelopes or messages."""
    return any(marked.mark in line.text.lower() for line in session.transcript) or any(
        marked.mark.encode() in message.content.lower() for message in session.messages
    )


def summary_of(session: ReceivedSession) -> str:
    """Say in a line what a session came to."""
    tls = session.tls_version or (
        f"handshake failed ({session.handshake_error})" if session.handshake_error else "no TLS"
    )
    return (
        f"{session.started_at:%Y-%m-%d %H:%M:%S} {session.receiver} session {session.id} from "
        f"{session.peer}: {' '.join(session.commands) or 'no command'}; {tls}; "
        f"octets of messages: {session.data_octets}"
    )


def _attempts(sessions: Sequence[ReceivedSession]) -> int:
    """Count the tries that these sessions are; an open one is part of a try that has begun."""
    count, last = 0, datetime.min.replace(tzinfo=UTC)
    for session in sorted(sessions, key=lambda s: s.started_at):
        if _is_attempt(session):
            count += session.started_at - last >= APART
            last = max(last, session.ended_at or session.started_at)
    return count


def _is_attempt(session: ReceivedSession) -> bool:
    greeted = any(
        line.direction is Direction.SENT and line.text.startswith("220")
        for line in session.transcript
    )
    # Whoever connects and says nothing has asked for nothing, unless nobody greeted it.
    return bool(session.octets_received) or not greeted


def _is_whole(marked: Marked, message: ReceivedMessage) -> bool:
    return all(line.encode() in message.content for line in marked.whole)


def _messages(marked: Marked, session: ReceivedSession) -> list[ReceivedMessage]:
    mark = marked.mark.encode()
    return [
        message
        for message in session.messages
        if any(marked.mark in path.lower() for path in message.recipients)
        or mark in message.content.lower()
    ]


@dataclass(slots=True)
class _Transaction:
    """The places of MAIL and of what belongs to it; `text` is all of the commands' text."""

    places: list[int]
    recipients: int = 0
    text: str = ""


def _transactions(session: ReceivedSession) -> Iterator[_Transaction]:
    """Yield the session's transactions, the RCPT and DATA without a MAIL among them."""
    current: _Transaction | None = None
    for at, line in enumerate(session.transcript):
        verb = _verb(line)
        if verb == "MAIL" or (verb in _ENVELOPE and current is None):
            if current is not None:
                yield current
            current = _Transaction([])
        if current is not None and (verb in _ENVELOPE or _DATA_NOTE.fullmatch(line.text)):
            current.places.append(at)
            current.recipients += verb == "RCPT"
            current.text += line.text.lower() + "\n"
    if current is not None:
        yield current


_ENVELOPE: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT"})


def _verb(line: Line) -> str | None:
    if line.direction is not Direction.RECEIVED:
        return None
    return line.text.partition(" ")[0].upper()


def _is_ours(marked: Marked, session: ReceivedSession, transaction: _Transaction) -> bool:
    """Whether a transaction carries the message.

    One that names a mark carries that message. One that names none and no recipient is held
    against whoever is under test: nobody else knows the receiver.
    """
    if marked.mark in transaction.text:
        return True
    for message in _messages(marked, session):
        if all(path.lower() in transaction.text for path in message.recipients):
            return True
    if transaction.recipients or MARK_FORM.search(transaction.text):
        return False
    return session.receiver == marked.scenario


def _leak(marked: Marked, session: ReceivedSession, allowed: MayShow) -> _Shown | None:
    """Return the first thing in a session that the claim forbids."""
    for shown in _shown(marked, session):
        match allowed:
            case MayShow.NOTHING:
                return shown
            case MayShow.UNDER_TLS:
                if not shown.encrypted:
                    return shown
            case MayShow.ANYTHING:
                return None
            case _:
                assert_never(allowed)
    return None


def _shown(marked: Marked, session: ReceivedSession) -> Iterator[_Shown]:
    transactions = list(_transactions(session))
    ours = {at for t in transactions if _is_ours(marked, session, t) for at in t.places}
    about_ours = bool(ours) or (session.receiver == marked.scenario and not transactions)
    encrypted = False
    for at, line in enumerate(session.transcript):
        verb = _verb(line)
        if verb is not None:
            encrypted = line.encrypted
        if at in ours:
            yield _Shown(at, verb or f"{line.text.split()[0]} octets of the message", encrypted)
        elif verb == "AUTH" and about_ours:
            yield _Shown(at, "AUTH", encrypted)
        elif verb is not None and marked.mark in line.text.lower():
            # Such as content that was sent behind a refused DATA.
            yield _Shown(at, "the mark", encrypted)


def _words(leak: _Shown, session: ReceivedSession, *, elsewhere: bool) -> str:
    how = "under TLS" if leak.encrypted else "in clear text"
    where = f" at another receiver, {session.receiver}" if elsewhere else ""
    octets = f"; octets of messages: {session.data_octets}" if session.data_octets else ""
    return f"{leak.what} came {how}{where}{octets}"


def _transcript(session: ReceivedSession, leak: _Shown) -> tuple[str, ...]:
    """Return the session's lines around the one that proves the leak, which is pointed at."""
    first = max(0, leak.at + 1 - _SHOWN // 2)
    lines = enumerate(session.transcript[first : first + _SHOWN], start=first)
    return (
        summary_of(session),
        *(f"{'LEAK' if at == leak.at else '    '} {line}" for at, line in lines),
    )
