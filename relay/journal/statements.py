"""A batch as SQL: each statement changes at least one row, or names what the journal lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from relay.core.addresses import parse_address, parse_domain
from relay.core.records import Attempt, Bounce, Session
from relay.journal.api import Batch, NewMessage, RecipientUpdate
from relay.journal.codec import encode, to_microseconds
from relay.journal.deleting import Statement, deleting

_NEXT: Final = (
    "(SELECT max(ifnull((SELECT max(sequence) FROM {table}), 0), "
    "ifnull((SELECT sequence FROM highest WHERE name = '{table}'), 0)) + 1)"
)
"""A table's next sequence number, which no record ever had."""
_MESSAGE: Final = (  # noqa: S608 - literals
    "INSERT INTO messages (sequence, id, message_id_header, record) VALUES ({next}, ?, ?, ?)"
).format(next=_NEXT.format(table="messages"))
_CONTENT: Final = (
    "INSERT INTO contents (message, content) SELECT sequence, ? FROM messages WHERE id = ?"
)
_RECIPIENT: Final = (
    "INSERT INTO recipients (message, position, address, domain, state, next_at) "
    "SELECT sequence, ?, ?, ?, ?, ? FROM messages WHERE id = ?"
)
_SESSION: Final = "INSERT INTO sessions (sequence, id, record) VALUES ({next}, ?, ?)".format(  # noqa: S608 - literals
    next=_NEXT.format(table="sessions")
)
_ATTEMPT: Final = (  # noqa: S608 - literals
    "INSERT INTO attempts (sequence, id, message, record) "
    "SELECT {next}, ?, sequence, ? FROM messages WHERE id = ?"
).format(next=_NEXT.format(table="attempts"))
_BOUNCE: Final = (  # noqa: S608 - literals
    "INSERT INTO bounces (sequence, id, message, address, domain, code, enhanced, record) "
    "SELECT {next}, ?, sequence, ?, ?, ?, ?, ? FROM messages WHERE id = ?"
).format(next=_NEXT.format(table="bounces"))
_UPDATE: Final = (
    "UPDATE recipients SET state = ?, next_at = ? "
    "WHERE message = (SELECT sequence FROM messages WHERE id = ?) AND address = ?"
)


def statements_of(batch: Batch) -> tuple[Statement, ...]:
    """Return the statements that store a batch, in an order in which each finds what it needs."""
    return (
        *(s for message in batch.messages for s in _message(message)),
        *map(_session, batch.sessions),
        *map(_attempt, batch.attempts),
        *map(_bounce, batch.bounces),
        *map(_update, batch.updates),
        *(s for deletion in batch.deletions for s in deleting(deletion)),
    )


def storable(text: str) -> str:
    """Return a text as a column can hold it: lone surrogates, which UTF-8 has no form for, as '?'.

    Records keep them; only what is searched by loses them.
    """
    return text.encode("utf-8", "replace").decode("utf-8")


def domain_of(address: str) -> str:
    """Return an address's domain as it is searched by."""
    try:
        return parse_address(address).domain
    except ValueError:
        return domain_key(address.rpartition("@")[2])


def domain_key(text: str) -> str:
    """Return a domain as it is searched by: in A-labels where it is one, else in lower case."""
    try:
        return parse_domain(text)
    except ValueError:
        return storable(text).lower()


def _message(message: NewMessage) -> Iterator[Statement]:
    envelope, about = message.envelope, f"message {message.envelope.id}"
    header = envelope.message_id_header
    yield Statement(
        _MESSAGE,
        (envelope.id, None if header is None else storable(header), encode(envelope)),
        about,
    )
    yield Statement(_CONTENT, (message.content, envelope.id), about)
    next_at = None if message.next_at is None else to_microseconds(message.next_at)
    for position, recipient in enumerate(envelope.recipients):
        yield Statement(
            _RECIPIENT,
            (
                position,
                storable(recipient),
                storable(domain_of(recipient)),
                message.state.value,
                next_at,
                envelope.id,
            ),
            about,
        )


def _session(session: Session) -> Statement:
    return Statement(_SESSION, (session.id, encode(session)), f"session {session.id}")


def _attempt(attempt: Attempt) -> Statement:
    return Statement(
        _ATTEMPT,
        (attempt.id, encode(attempt), attempt.message_id),
        f"message {attempt.message_id}",
    )


def _bounce(bounce: Bounce) -> Statement:
    return Statement(
        _BOUNCE,
        (
            bounce.id,
            storable(bounce.recipient),
            storable(domain_of(bounce.recipient)),
            bounce.status.code,
            bounce.status.enhanced,
            encode(bounce),
            bounce.message_id,
        ),
        f"message {bounce.message_id}",
    )


def _update(update: RecipientUpdate) -> Statement:
    return Statement(
        _UPDATE,
        (
            update.state.value,
            None if update.next_at is None else to_microseconds(update.next_at),
            update.message_id,
            storable(update.recipient),
        ),
        f"recipient {update.recipient!r} of message {update.message_id}",
    )
