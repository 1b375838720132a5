"""What a receiver's session shows of a marked message, line by line and octet by octet.

session ──< transaction   MAIL and what belongs to it: whose it is, a mark or the content says
        ──< message       what the receiver kept
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, assert_never

from relay.audit.promises import MayShow
from relay.core.transcripts import Direction, Line
from relay.lab.received import ReceivedMessage, ReceivedSession

MARK_FORM: Final = re.compile(r"rlp-[0-9a-f]{8}-[0-9a-f]{8}")
"""What `mark_of` returns."""
_DATA_NOTE: Final = re.compile(r"([1-9][0-9]*) octets of message data received")
_CUT_NOTE: Final = re.compile(
    r"[0-9]+ more lines were not kept|a line of [0-9]+ characters that is no command, not kept"
)
_ENVELOPE: Final = frozenset({"MAIL", "RCPT", "DATA", "BDAT"})
_SHOWN: Final = 40
"""Lines of a leaking session's transcript that become evidence."""


def mark_of(run: int, number: int) -> str:
    """Return the mark of one message of one run, of 32 random bits each: a local part, too."""
    return f"rlp-{run:08x}-{number:08x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Marked:
    """A message that was, or is to be, sent: `whole` are lines that must arrive if it does.

    `whole` is empty for a message that somebody else writes.
    """

    scenario: str
    mark: str
    recipient: str
    whole: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """Something of the message, or credentials, that a receiver got."""

    at: int
    """The line's place in the transcript; the last one's where a message came and no line says."""
    what: str
    encrypted: bool


def marks_in(session: ReceivedSession) -> frozenset[str]:
    """Return every mark that stands in a session's lines or messages."""
    texts = [line.text for line in session.transcript]
    texts += [message.content.decode("latin-1") for message in session.messages]
    return frozenset(mark for text in texts for mark in MARK_FORM.findall(text.lower()))


def bears(marked: Marked, session: ReceivedSession) -> bool:
    """Whether the mark stands in a session's envelopes or messages."""
    return any(marked.mark in line.text.lower() for line in session.transcript) or any(
        marked.mark.encode() in message.content.lower() for message in session.messages
    )


def is_about(marked: Marked, session: ReceivedSession) -> bool:
    """Whether a session is about this message: all that are not about others alone."""
    transactions = list(_transactions(session))
    return not transactions or any(_is_ours(marked, session, t) for t in transactions)


def copies_in(marked: Marked, session: ReceivedSession) -> list[ReceivedMessage]:
    """Return the copies of the message that a receiver kept of a session.

    What comes from the null reverse path (RFC 5321 section 4.5.5) is a report about the message,
    even with all of it inside.
    """
    return [message for message in _messages(marked, session) if message.reverse_path]


def is_whole(marked: Marked, message: ReceivedMessage) -> bool:
    """Whether nothing is missing of a copy."""
    return all(line.encode() in message.content for line in marked.whole)


def first_leak(marked: Marked, session: ReceivedSession, allowed: MayShow) -> Shown | None:
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


def is_incomplete(session: ReceivedSession) -> bool:
    """Whether a session's record leaves out lines, so that it can't prove an absence."""
    return any(
        line.direction is Direction.NOTE and _CUT_NOTE.fullmatch(line.text)
        for line in session.transcript
    )


def has_unknown_mail(session: ReceivedSession, allowed: MayShow) -> bool:
    """Whether mail came that the claim forbids if it is the sender's, and nobody can tell whose.

    No mark stands in its envelope, and its content, which might bear one, was not kept.
    """
    loose = sum(
        t.recipients > 0
        and not MARK_FORM.search(t.text)
        and (allowed is MayShow.NOTHING or not t.encrypted)
        for t in _transactions(session)
    )
    kept = sum(
        not any(MARK_FORM.search(path.lower()) for path in message.recipients)
        for message in session.messages
    )
    return allowed is not MayShow.ANYTHING and loose > kept


def leak_words(leak: Shown, session: ReceivedSession, *, elsewhere: bool) -> str:
    """Say what came, how and where."""
    how = "under TLS" if leak.encrypted else "in clear text"
    where = f" at another receiver, {session.receiver}" if elsewhere else ""
    octets = f"; octets of messages: {session.data_octets}" if session.data_octets else ""
    return f"{leak.what} came {how}{where}{octets}"


def leak_evidence(session: ReceivedSession, leak: Shown) -> tuple[str, ...]:
    """Return the session's lines around the one that proves the leak, which is pointed at."""
    first = max(0, leak.at + 1 - _SHOWN // 2)
    lines = enumerate(session.transcript[first : first + _SHOWN], start=first)
    return (
        summary_of(session),
        *(f"{'LEAK' if at == leak.at else '    '} {line}" for at, line in lines),
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


def verb_of(line: Line) -> str | None:
    """Return the verb of a client's line, None for other lines."""
    if line.direction is not Direction.RECEIVED:
        return None
    return line.text.partition(" ")[0].upper()


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
    """The places of MAIL and of what belongs to it; `text` is all of the commands' text.

    `encrypted` says that TLS protected all of it.
    """

    places: list[int]
    recipients: int = 0
    text: str = ""
    encrypted: bool = True


def _transactions(session: ReceivedSession) -> Iterator[_Transaction]:
    """Yield the session's transactions, the RCPT and DATA without a MAIL among them."""
    current: _Transaction | None = None
    for at, line in enumerate(session.transcript):
        verb = verb_of(line)
        if verb == "MAIL" or (verb in _ENVELOPE and current is None):
            if current is not None:
                yield current
            current = _Transaction([])
        if current is not None and (verb in _ENVELOPE or _DATA_NOTE.fullmatch(line.text)):
            current.places.append(at)
            current.recipients += verb == "RCPT"
            current.text += line.text.lower() + "\n"
            current.encrypted &= line.encrypted or verb is None
    if current is not None:
        yield current


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


def _shown(marked: Marked, session: ReceivedSession) -> Iterator[Shown]:
    transactions = list(_transactions(session))
    ours = {at for t in transactions if _is_ours(marked, session, t) for at in t.places}
    about_ours = bool(ours) or (session.receiver == marked.scenario and not transactions)
    encrypted = False
    for at, line in enumerate(session.transcript):
        verb = verb_of(line)
        if verb is not None:
            encrypted = line.encrypted
        if at in ours:
            yield Shown(at, verb or f"{line.text.split()[0]} octets of the message", encrypted)
        elif verb == "AUTH" and about_ours:
            yield Shown(at, "AUTH", encrypted)
        elif verb is not None and marked.mark in line.text.lower():
            # Such as content that was sent behind a refused DATA.
            yield Shown(at, "the mark", encrypted)
    for message in _messages(marked, session):
        # A transcript has an end, behind which more may have come.
        yield Shown(len(session.transcript) - 1, "the message", message.encrypted)
