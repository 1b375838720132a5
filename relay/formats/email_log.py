"""Salesforce's e-mail log: the CSV file that an org's administrator asks for under Setup.

One row for each event of each recipient: received, delivered, failed for now, failed for good.
Sources: Salesforce Help "Email Log Reference" (columns A to L), Knowledge 000383894 (the TLS
columns), 000206241 (events and texts). Where `RELAY_PORT` and `DSN_TEXT` stand between the two is
not documented; here they follow the relay's address.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, unique
from typing import Final, Protocol, TextIO

from relay.core.evidence import HandshakeDone
from relay.core.outcomes import Delivered, Stage
from relay.core.records import (
    Attempt,
    Bounce,
    BounceAction,
    Envelope,
    Notified,
    Session,
    SessionDirection,
)
from relay.core.settings import Protection


@unique
class MailEvent(Enum):
    """What happened to a recipient's message; the value is the letter in the log."""

    RECEIVED = "R"
    DELIVERED = "D"
    TRANSIENT = "T"
    """Failed for now, and tried again: by this relay, or by the client that was told."""
    PERMANENT = "P"


@unique
class Column(Enum):
    """The columns in order; the value is the name in the file's first line."""

    DATE = "Date/Time"
    MESSAGE_ID = "Internal Message ID"
    EVENT = "Mail Event"
    RECIPIENT = "Recipient"
    SENDER = "Sender"
    REMOTE_HOST = "Remote Host"
    BYTES = "Bytes Transferred"
    USER_ID = "User ID"
    MESSAGE_ID_HEADER = "Message ID Header"
    RETRY_COUNT = "Retry Count"
    SECONDS_IN_QUEUE = "Seconds in Queue"
    STAGE = "Delivery Stage"
    RELAY_ADDRESS = "Relay Address"
    RELAY_PORT = "Relay Port"
    DSN_TEXT = "Delivery Status Notification"
    TLS_CIPHER = "TLS_Cipher"
    TLS_VERIFIED = "TLS_Verified"


NOT_TLS: Final = ":"
"""In `TLS_Cipher`: delivered in clear text."""
INTERNAL: Final = "None"
"""In `TLS_Cipher`: handed over inside, in no SMTP session."""
VERIFIED: Final = "Verified"
UNVERIFIED: Final = "Unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRow:
    """One row; texts are empty and the others None where the log says nothing.

    `at` is in UTC. `message_id` is this relay's own id, not one of Momentum's shape
    (`16/A4-20983-88E21E84`). `sender` is the reverse path that hosts are told, bounce management's
    where that is on. `remote_host` is the address of the client that handed the message
    in, `bytes_transferred` the message's size in octets. `user_id` is always empty here: there are
    no users. `retry_count` counts from 0. `relay_address` and `relay_port` are the host that was
    tried. `tls_cipher` and `tls_verified` are said of deliveries alone, the latter only where the
    setting verifies.
    """

    at: datetime
    event: MailEvent
    recipient: str
    message_id: str = ""
    sender: str = ""
    remote_host: str = ""
    bytes_transferred: int | None = None
    user_id: str = ""
    message_id_header: str = ""
    retry_count: int | None = None
    seconds_in_queue: int | None = None
    stage: str = ""
    relay_address: str = ""
    relay_port: int | None = None
    dsn_text: str = ""
    tls_cipher: str = ""
    tls_verified: str = ""

    def cells(self) -> tuple[str, ...]:
        """Return the row's texts in the order of `Column`."""
        return (
            gmt(self.at),
            self.message_id,
            self.event.value,
            self.recipient,
            self.sender,
            self.remote_host,
            _number(self.bytes_transferred),
            self.user_id,
            self.message_id_header,
            _number(self.retry_count),
            _number(self.seconds_in_queue),
            self.stage,
            self.relay_address,
            _number(self.relay_port),
            self.dsn_text,
            self.tls_cipher,
            self.tls_verified,
        )


class WholeWay(Protocol):
    """What rows are made of: a message, and all that is known of its way."""

    @property
    def envelope(self) -> Envelope: ...
    @property
    def attempts(self) -> tuple[Attempt, ...]: ...
    @property
    def sessions(self) -> tuple[Session, ...]: ...
    @property
    def bounces(self) -> tuple[Bounce, ...]: ...


def gmt(at: datetime) -> str:
    """Return a time as the log has it: GMT, month first, to the minute, such as 3/06/2009 13:37."""
    utc = at.astimezone(UTC)
    return f"{utc.month}/{utc:%d/%Y %H:%M}"


def rows(record: WholeWay) -> tuple[LogRow, ...]:
    """Return one message's rows by time; those of one moment in the order of its recipients.

    A clear-text try behind a failed handshake, or the next host of the same round, is no event of
    its own: a round that ends without delivery makes one row.
    """
    way = _Way(record)
    found = [row for recipient in record.envelope.recipients for row in way.of(recipient)]
    return tuple(sorted(found, key=lambda row: row.at))


class _Way:
    def __init__(self, record: WholeWay) -> None:
        self._envelope = record.envelope
        self._attempts = record.attempts
        self._bounces = record.bounces
        self._sessions = {session.id: session for session in record.sessions}

    def of(self, recipient: str) -> Iterator[LogRow]:
        """Yield one recipient's rows."""
        yield self._row(MailEvent.RECEIVED, self._envelope.received_at, recipient)
        for bounce in self._bounces:
            if bounce.recipient == recipient:
                yield self._failed(bounce)
        for attempt in self._attempts:
            for entry in attempt.outcomes:
                if entry.recipient == recipient and isinstance(entry.outcome, Delivered):
                    yield self._delivered(recipient, attempt, entry.outcome)

    def _row(
        self,
        event: MailEvent,
        at: datetime,
        recipient: str,
        *,
        retry_count: int = 0,
        stage: str = "",
        relay: tuple[str, int | None] = ("", None),
        dsn_text: str = "",
        tls_cipher: str = "",
        tls_verified: str = "",
    ) -> LogRow:
        about = self._envelope
        return LogRow(
            at=at.astimezone(UTC),
            event=event,
            recipient=recipient,
            message_id=about.id,
            sender=about.outgoing_path,
            remote_host=self._client(),
            bytes_transferred=about.size,
            message_id_header=about.message_id_header or "",
            retry_count=retry_count,
            seconds_in_queue=max(0, int((at - about.received_at).total_seconds())),
            stage=stage,
            relay_address=relay[0],
            relay_port=relay[1],
            dsn_text=_flat(dsn_text),
            tls_cipher=tls_cipher,
            tls_verified=tls_verified,
        )

    def _client(self) -> str:
        session = self._sessions.get(self._envelope.session_id or "")
        if session is None or session.direction is not SessionDirection.INBOUND:
            return ""
        return _address_and_port(session.peer)[0]

    def _failed(self, bounce: Bounce) -> LogRow:
        expired = (bounce.status, bounce.text) != (bounce.cause_status, bounce.cause_text)
        return self._row(
            _event(bounce),
            bounce.at,
            bounce.recipient,
            retry_count=bounce.attempts - 1,
            # Time ran out between two tries; the last failure's stage has its own row.
            stage=(Stage.NOT_CONNECTED if expired else bounce.stage).value,
            relay=("", None) if bounce.address is None else _address_and_port(bounce.address),
            dsn_text=f"{bounce.status} {bounce.text}",
        )

    def _delivered(self, recipient: str, attempt: Attempt, outcome: Delivered) -> LogRow:
        verified = VERIFIED if outcome.protection is Protection.VERIFIED else UNVERIFIED
        hop = attempt.hop
        return self._row(
            MailEvent.DELIVERED,
            attempt.ended_at,
            recipient,
            retry_count=attempt.round - 1,
            relay=("", None) if hop is None else (hop.address, hop.port),
            dsn_text=str(outcome.reply),
            tls_cipher=self._cipher(attempt),
            tls_verified=verified if attempt.session_id and attempt.rule.setting.verifies else "",
        )

    def _cipher(self, attempt: Attempt) -> str:
        if attempt.session_id is None:
            return INTERNAL
        session = self._sessions.get(attempt.session_id)
        match session.evidence.handshake if session and session.evidence else None:
            case HandshakeDone(version=version, cipher=cipher):
                return f"{version}:{cipher}"
            case _:
                return NOT_TLS


def _event(bounce: Bounce) -> MailEvent:
    match bounce.action:
        case BounceAction.DELAYED:
            return MailEvent.TRANSIENT
        case BounceAction.FAILED:
            kept = bounce.notified is Notified.CLIENT and not bounce.status.permanent
            return MailEvent.TRANSIENT if kept else MailEvent.PERMANENT


def _address_and_port(peer: str) -> tuple[str, int | None]:
    address, colon, port = peer.rpartition(":")
    if not colon or not port.isdigit():
        return peer, None
    return address.strip("[]"), int(port)


def _flat(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def write_header(out: TextIO) -> None:
    """Write the first line: the columns' names."""
    import csv

    csv.writer(out).writerow([column.value for column in Column])


def write_csv(out: TextIO, some: Sequence[LogRow]) -> None:
    """Append rows as CSV (RFC 4180, CRLF line ends); open `out` with `newline=""`."""
    import csv

    csv.writer(out).writerows(row.cells() for row in some)
