"""A message that the relay took, as a test looks at it."""

from __future__ import annotations

import email.policy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes
from email.message import EmailMessage

from relay.core.records import Attempt, Bounce, Session
from relay.journal.api import JournalReader, MessageRecord, RecipientState

_PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as a client handed it in, and its way from there.

    `sender` is empty for the null reverse path. `content` is header, empty line and body, with
    CRLF. `states` says where each recipient stands, in the envelope's order: "delivered", "failed",
    "queued" and so on. `attempts`, `bounces` and `sessions` are the oldest first; `sessions` are
    the one that it came in by and those of the attempts.
    """

    id: str
    sender: str
    recipients: tuple[str, ...]
    subject: str | None
    content: bytes = field(repr=False)
    states: Mapping[str, str]
    attempts: tuple[Attempt, ...] = field(repr=False)
    bounces: tuple[Bounce, ...] = field(repr=False)
    sessions: tuple[Session, ...] = field(repr=False)

    def parsed(self) -> EmailMessage:
        """Return the content as the standard library reads it, each time anew."""
        found = message_from_bytes(self.content, policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found


def messages_of(journal: JournalReader) -> Iterator[Message]:
    """Yield what clients handed in, the oldest first; not what the relay itself wrote or copied."""
    for record in records_of(journal):
        envelope = record.envelope
        if envelope.notification_for is None and envelope.copy_of is None:
            yield Message(
                id=envelope.id,
                sender=envelope.reverse_path,
                recipients=envelope.recipients,
                subject=envelope.subject,
                content=journal.content(envelope.id),
                states={status.recipient: status.state.value for status in record.recipients},
                attempts=record.attempts,
                bounces=record.bounces,
                sessions=record.sessions,
            )


def records_of(journal: JournalReader) -> Iterator[MessageRecord]:
    """Yield every message, the relay's own too, the oldest first."""
    after: str | None = None
    while page := journal.records(_PAGE, after=after):
        yield from page
        after = page[-1].envelope.id


def bounces_of(journal: JournalReader) -> tuple[Bounce, ...]:
    """Return all bounces, the oldest first."""
    found: list[Bounce] = []
    while page := journal.bounces(_PAGE, before=found[-1].id if found else None):
        found += page
    return tuple(reversed(found))


def sessions_of(journal: JournalReader) -> tuple[Session, ...]:
    """Return all sessions, the oldest first."""
    found: list[Session] = []
    while page := journal.sessions(_PAGE, before=found[-1].id if found else None):
        found += page
    return tuple(reversed(found))


def is_at_rest(journal: JournalReader, now: datetime) -> bool:
    """Whether no recipient is being tried or due at `now`, and no client waits for an answer."""
    if journal.due(now, 1):
        return False
    return not journal.counts().recipients.get(RecipientState.INLINE, 0)
