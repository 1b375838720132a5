"""What the rest of the program knows of the journal: two protocols, and the values they carry.

The journal keeps every message with its recipients' states, and every session, attempt and bounce.
`JournalWriter` is asynchronous and returns when a batch is durable; `JournalReader` is synchronous,
quick, and works in any process beside the one writer. Records are those of `relay.core.records`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from typing import Protocol

from relay.core.contacts import AddressBounce
from relay.core.records import Attempt, Bounce, Envelope, Session


class JournalError(Exception):
    """The journal could not be opened, read or written; the message is one line for people."""


class JournalUnavailable(JournalError):  # noqa: N818 - says what is the case
    """The storage can't be written now: full, failing, read-only. The same may succeed later."""


class JournalLocked(JournalError):  # noqa: N818 - says what is the case
    """Another writer has the journal; `pid` is its process, where that is known."""

    def __init__(self, message: str, *, pid: int | None) -> None:
        super().__init__(message)
        self.pid = pid


class JournalVersion(JournalError):  # noqa: N818 - says what is the case
    """The journal was made by another version; `found` and `known` are the formats' numbers."""

    def __init__(self, message: str, *, found: int, known: int) -> None:
        super().__init__(message)
        self.found = found
        self.known = known


class NoJournal(JournalError):  # noqa: N818 - says what is the case
    """There is no journal at this path yet."""


class NotFound(LookupError):  # noqa: N818 - says what is the case
    """Nothing in the journal has this id, or several records' ids begin like it."""


@unique
class RecipientState(Enum):
    """Where one recipient of one message stands."""

    QUEUED = "queued"
    """Waits for its next try, which is due at `next_at`."""
    INLINE = "inline"
    """In hand while the client waits for the answer to DATA."""
    DELIVERED = "delivered"
    FAILED = "failed"
    ABANDONED = "abandoned"
    """The process died before the client had its answer; the client still has the message."""


def _check_next_at(state: RecipientState, next_at: datetime | None) -> None:
    if (state is RecipientState.QUEUED) is not (next_at is not None):
        raise ValueError(
            f"next_at belongs to a queued recipient, and only to one: {state.value}, {next_at}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message to keep: its recipients all begin in `state`.

    `next_at` says when the first try of a queued message is due; None for any other state.
    ValueError where state and `next_at` disagree.
    """

    envelope: Envelope
    content: bytes
    state: RecipientState
    next_at: datetime | None

    def __post_init__(self) -> None:
        _check_next_at(self.state, self.next_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientUpdate:
    """A recipient's new state; `recipient` is spelled as in the envelope.

    ValueError where state and `next_at` disagree, as in `NewMessage`.
    """

    message_id: str
    recipient: str
    state: RecipientState
    next_at: datetime | None

    def __post_init__(self) -> None:
        _check_next_at(self.state, self.next_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """That a message is there: `sequence` counts in the order of commits, `size` is in octets."""

    sequence: int
    id: str
    received_at: datetime
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """Messages to forget with all that is known of them, their outbound sessions included.

    `messages` are ids in full; one that the journal does not have is no error. The session that a
    message came in by stays, unless it is one of `sessions`, which are ids in full as well, or
    `unused_sessions` asks for all to go that no record names.
    """

    messages: tuple[str, ...]
    sessions: tuple[str, ...] = ()
    unused_sessions: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What becomes durable together or not at all.

    Attempts, bounces and updates may concern messages of the same batch or of earlier ones.
    Deletions come last.
    """

    messages: tuple[NewMessage, ...] = ()
    sessions: tuple[Session, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    bounces: tuple[Bounce, ...] = ()
    updates: tuple[RecipientUpdate, ...] = ()
    deletions: tuple[Deletion, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientStatus:
    """A recipient and where it stands; `next_at` only while it is queued."""

    recipient: str
    state: RecipientState
    next_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageSummary:
    """One row of a list: the envelope, and where each recipient stands, in its order."""

    envelope: Envelope
    recipients: tuple[RecipientStatus, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRecord:
    """A message's whole way, each part oldest first.

    `sessions` are the one that it came in by and those that its attempts used.
    """

    envelope: Envelope
    recipients: tuple[RecipientStatus, ...]
    attempts: tuple[Attempt, ...]
    sessions: tuple[Session, ...]
    bounces: tuple[Bounce, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRef:
    """One recipient of one message."""

    message_id: str
    recipient: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRecipient:
    """A queued recipient whose next try is due; `octets` is the size of its message."""

    message_id: str
    recipient: str
    next_at: datetime
    octets: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much the journal holds; `recipients` has every state."""

    messages: int
    sessions: int
    attempts: int
    bounces: int
    recipients: Mapping[RecipientState, int]


class JournalWriter(Protocol):
    """The one writer of a journal."""

    async def write(self, batch: Batch) -> None:
        """Return when all of `batch` is on disk, or raise JournalError and keep nothing of it.

        The error says in one line what is wrong: a message that the journal does not have, or, as
        JournalUnavailable, a disk that is full. Batches become durable in the order of the calls.
        Cancelling the caller does not take a batch back.
        """
        ...

    async def check(self) -> None:
        """Return when something was written and is on disk, or raise JournalError as `write`."""
        ...

    async def close(self) -> None:
        """Finish what was handed in, then release the journal; a second call does nothing."""
        ...


class JournalReader(Protocol):
    """Reads what was committed; every call sees one consistent state.

    An `id` may be given in full, by a beginning that no other has, or as `latest`; NotFound where
    that names nothing. Lists are newest first and hold at most `limit` records, those older than
    the record `before` where it is given. JournalError when the file can't be read.
    """

    def messages(
        self,
        limit: int,
        *,
        before: str | None = None,
        recipient: str | None = None,
        domain: str | None = None,
        state: RecipientState | None = None,
    ) -> tuple[MessageSummary, ...]:
        """List messages that have a recipient to which all the filters apply.

        `recipient` is compared without regard to case.
        """
        ...

    def message(self, message_id: str, *, sessions: bool = True) -> MessageRecord:
        """Return a message with everything that is known of it.

        Without `sessions`, which are most of what there is to read, the record has none.
        """
        ...

    def records(
        self,
        limit: int,
        *,
        after: str | None = None,
        since: datetime | None = None,
        events: bool = False,
        sessions: bool = True,
    ) -> tuple[MessageRecord, ...]:
        """Return messages with everything that is known of them, the oldest first.

        At most `limit`, and those newer than the message `after` where it is given; else from the
        first one on that was received at `since` or later, behind which older ones may stand where
        the clock was put back. With `events`, from the first one on that was received, tried or
        bounced then or later. Without `sessions`, which are most of what there is to read, records
        have none.
        """
        ...

    def arrivals(self, limit: int, *, after: int = 0) -> tuple[Arrival, ...]:
        """List messages behind a sequence number, the oldest first; their records stay unread."""
        ...

    def sequences(self) -> tuple[int, ...]:
        """Return the sequence numbers of all messages, the oldest first."""
        ...

    def envelopes(self, message_ids: Collection[str]) -> dict[str, Envelope]:
        """Return the envelopes of these messages, by id in full, without those that are gone."""
        ...

    def content(self, message_id: str) -> bytes:
        """Return a message as received: header, empty line, body, CRLF line ends."""
        ...

    def contents(self, message_ids: Collection[str]) -> dict[str, bytes]:
        """Return these messages as received, by id in full, without those that are gone.

        All of them are in memory at once: the caller knows their sizes.
        """
        ...

    def find_by_message_id_header(self, value: str) -> str | None:
        """Return the id of the newest message with this Message-ID, angle brackets included."""
        ...

    def attempts_of(self, message_id: str, recipient: str) -> tuple[Attempt, ...]:
        """Return one recipient's attempts, oldest first: its history."""
        ...

    def attempts_to(self, domain: str, *, messages: int) -> tuple[Attempt, ...]:
        """Return the attempts at a domain of the newest `messages` to it, oldest first."""
        ...

    def bounces(
        self,
        limit: int,
        *,
        before: str | None = None,
        recipient: str | None = None,
        domain: str | None = None,
        code: str | None = None,
    ) -> tuple[Bounce, ...]:
        """List bounces; `code` is the reported one: '451', '4.7.5' or '451 4.7.5'.

        ValueError when `code` is none of these.
        """
        ...

    def bounce(self, bounce_id: str) -> Bounce:
        """Return one bounce."""
        ...

    def bounced_messages(self) -> frozenset[str]:
        """Return the ids of messages of which bounce management counted a bounce."""
        ...

    def address_bounces(self, recipient: str | None = None) -> tuple[AddressBounce, ...]:
        """Return what bounce management counted, oldest first: of all addresses, or of one.

        Addresses are compared without regard to case.
        """
        ...

    def sessions(self, limit: int, *, before: str | None = None) -> tuple[Session, ...]:
        """List sessions, inbound and outbound."""
        ...

    def session(self, session_id: str) -> Session:
        """Return one session."""
        ...

    def due(
        self,
        now: datetime,
        limit: int,
        *,
        not_messages: Collection[str] = (),
        not_domains: Collection[str] = (),
    ) -> tuple[DueRecipient, ...]:
        """Return queued recipients whose time has come, the longest overdue first.

        Those of `not_messages`, by id, and those in `not_domains` are passed over.
        """
        ...

    def counts(self) -> Counts:
        """Count everything."""
        ...

    def close(self) -> None:
        """Close the journal's file; a second call does nothing."""
        ...
