"""What a failed test shows of its relay: every message's end, and every dialog."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from relay.core.records import Session, SessionDirection
from relay.testing.running import RunningRelay

MOST_LINES: Final = 400
"""Lines shown; of longer reports the end."""


def mail_report(relay: RunningRelay) -> str:
    """Return messages and dialogs, in the order in which they happened; secrets are redacted."""
    lines = [*_messages(relay), *_bounces(relay), *_sessions(relay)]
    if not lines:
        return "no message, and no session that has ended"
    if len(lines) > MOST_LINES:
        lines = [f"[{len(lines) - MOST_LINES} more lines before]", *lines[-MOST_LINES:]]
    return "\n".join(lines)


def _messages(relay: RunningRelay) -> Iterator[str]:
    for message in relay.messages:
        subject = "" if message.subject is None else f" {message.subject!r}"
        yield f"message {message.id} from <{message.sender}>{subject}"
        for recipient, state in message.states.items():
            yield f"  {recipient}: {state}"


def _bounces(relay: RunningRelay) -> Iterator[str]:
    for bounce in relay.bounces:
        yield f"bounce {bounce.recipient} {bounce.action.value}: {bounce.status} {bounce.text}"
        yield f"  {bounce.cause}"


def _sessions(relay: RunningRelay) -> Iterator[str]:
    for session in relay.sessions:
        yield f"session {_ends(session)}"
        yield from (f"  {line}" for line in session.transcript)


def _ends(session: Session) -> str:
    match session.direction:
        case SessionDirection.INBOUND:
            return f"in, from {session.peer}"
        case SessionDirection.OUTBOUND:
            host = session.peer if session.hop is None else f"{session.hop.host} ({session.peer})"
            return f"out, to {host}"
