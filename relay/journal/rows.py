"""A batch as rows: what is worked out before the writer's transaction, in the caller's thread."""

from __future__ import annotations

from typing import NamedTuple

from relay.core.records import Attempt, Bounce, Session
from relay.journal.api import Batch, NewMessage, RecipientUpdate
from relay.journal.bodies import SMALL, new_name
from relay.journal.codec import encode, to_microseconds
from relay.journal.deleting import Statement, deleting, doomed
from relay.journal.keys import domain_of, storable


class MessageRow(NamedTuple):
    """A message; `recipients` are addresses with their domains, `next_at` is in microseconds.

    `file` is the name of the file that has the content, None where the journal has it itself.
    """

    id: str
    header: str | None
    record: str
    content: bytes
    file: str | None
    recipients: tuple[tuple[str, str], ...]
    state: str
    next_at: int | None


class AttemptRow(NamedTuple):
    """An attempt, and the id of its message."""

    id: str
    message: str
    record: str


class BounceRow(NamedTuple):
    """A bounce, and the id of its message."""

    id: str
    message: str
    address: str
    domain: str
    code: int
    enhanced: str
    record: str


class UpdateRow(NamedTuple):
    """A recipient's new state, and the id of its message."""

    message: str
    address: str
    state: str
    next_at: int | None


class Rows(NamedTuple):
    """A batch; sessions are ids with records, `statements` are executed behind all the rows.

    `deleted` has the ids of the messages that these delete, as JSON text; empty for none. `files`
    are names and contents, and have to be there before the rows are.
    """

    messages: tuple[MessageRow, ...] = ()
    sessions: tuple[tuple[str, str], ...] = ()
    attempts: tuple[AttemptRow, ...] = ()
    bounces: tuple[BounceRow, ...] = ()
    updates: tuple[UpdateRow, ...] = ()
    statements: tuple[Statement, ...] = ()
    deleted: str = ""
    files: tuple[tuple[str, bytes], ...] = ()


def rows_of(batch: Batch) -> Rows:
    """Return the rows of a batch, and the statements of its deletions."""
    messages = tuple(map(_message, batch.messages))
    deletions = batch.deletions
    return Rows(
        messages,
        tuple(map(_session, batch.sessions)),
        tuple(map(_attempt, batch.attempts)),
        tuple(map(_bounce, batch.bounces)),
        tuple(map(_update, batch.updates)),
        tuple([s for deletion in deletions for s in deleting(deletion)]) if deletions else (),
        doomed(deletions) if deletions else "",
        tuple([(row.file, row.content) for row in messages if row.file is not None]),
    )


def _message(message: NewMessage) -> MessageRow:
    envelope = message.envelope
    header, next_at = envelope.message_id_header, message.next_at
    return MessageRow(
        envelope.id,
        None if header is None else storable(header),
        encode(envelope),
        message.content,
        new_name(envelope.id) if len(message.content) > SMALL else None,
        tuple([(storable(address), domain_of(address)) for address in envelope.recipients]),
        message.state.value,
        None if next_at is None else to_microseconds(next_at),
    )


def _session(session: Session) -> tuple[str, str]:
    return session.id, encode(session)


def _attempt(attempt: Attempt) -> AttemptRow:
    return AttemptRow(attempt.id, attempt.message_id, encode(attempt))


def _bounce(bounce: Bounce) -> BounceRow:
    return BounceRow(
        bounce.id,
        bounce.message_id,
        storable(bounce.recipient),
        domain_of(bounce.recipient),
        bounce.status.code,
        bounce.status.enhanced,
        encode(bounce),
    )


def _update(update: RecipientUpdate) -> UpdateRow:
    next_at = update.next_at
    return UpdateRow(
        update.message_id,
        storable(update.recipient),
        update.state.value,
        None if next_at is None else to_microseconds(next_at),
    )
