"""What is kept of a message's way: envelope, sessions, attempts, bounces.

Envelope ──< Attempt >── Session          one Attempt: one try of one message in one session
    └──< Bounce                           one Bounce: one recipient's delayed or final failure
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, unique

from relay.core.advisories import Advisory
from relay.core.dsn import DsnRequest
from relay.core.evidence import TlsEvidence
from relay.core.faults import ResultType, TlsFault
from relay.core.outcomes import Outcome, Stage
from relay.core.rejudging import NotObserved
from relay.core.replies import ReplyMode, StatusCode
from relay.core.routing import Hop
from relay.core.salesforce_view import SalesforceView
from relay.core.settings import TlsSetting
from relay.core.steps import Tried
from relay.core.tls_policy import PolicyMatch
from relay.core.transcripts import Line
from relay.core.verdicts import Verdict


@unique
class BodyType(Enum):
    """The BODY parameter of MAIL (RFC 6152)."""

    SEVEN_BIT = "7bit"
    EIGHT_BIT = "8bitmime"


@unique
class Reading(Enum):
    """What a message was that came back to one of our own reverse paths."""

    FAILED = "failed"
    DELAYED = "delayed"
    DELIVERED = "delivered"
    """A report of success; it changes nothing."""
    UNREADABLE = "unreadable"
    """No notification that could be understood, or one about nobody that the message went to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Returned:
    """One return: `message_id` is of the message that the reverse path belongs to."""

    message_id: str
    recipient: str
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """A message as accepted, without its content.

    `reverse_path` is empty for the null reverse path `<>`; addresses are texts that
    `parse_address` accepts. `dsn` is what the sender asked to be told. `protect_as` is set on a
    notification: its content comes from a message that this setting protected, and it travels under
    no weaker one. `message_id_header` and `subject` are
    copied from the content's head, for people to find the message by. `sent_from` is the reverse
    path that the message leaves with where that is not the sender's own (bounce management).
    `returned` is set on a message that came back to such a path: an entry for each. `copy_of` is
    the id of the message that this is a hidden copy of, for compliance; its sender hears nothing
    of it.
    """

    id: str
    reverse_path: str
    recipients: tuple[str, ...]
    received_at: datetime
    size: int
    sha256: str
    body: BodyType
    smtputf8: bool
    reply_mode: ReplyMode
    policy: str
    policy_sha256: str
    session_id: str | None = None
    message_id_header: str | None = None
    subject: str | None = None
    notification_for: str | None = None
    dsn: DsnRequest = field(default_factory=DsnRequest)
    protect_as: TlsSetting | None = None
    sent_from: str | None = None
    returned: tuple[Returned, ...] = ()
    copy_of: str | None = None

    @property
    def outgoing_path(self) -> str:
        """The reverse path that hosts are told; empty for the null reverse path."""
        return self.reverse_path if self.sent_from is None else self.sent_from


@unique
class SessionDirection(Enum):
    """Who opened the session."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One SMTP connection; one that failed in the handshake or before is a session too.

    `faults` are those that were found when the session was judged, `advisories` what is worth a
    report besides. A connection that carried several messages has a session for each: those behind
    the first have the same evidence and the dialog of their own message, and `continues` is the
    first one's id.
    """

    id: str
    direction: SessionDirection
    peer: str
    hop: Hop | None
    started_at: datetime
    ended_at: datetime
    evidence: TlsEvidence | None
    faults: tuple[TlsFault, ...]
    transcript: tuple[Line, ...]
    advisories: tuple[Advisory, ...] = ()
    continues: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedRule:
    """The record of a `PolicyMatch`: what held for the domain, and which line said so."""

    setting: TlsSetting
    pattern: str
    reason: str
    file: str
    line: int

    @classmethod
    def of(cls, match: PolicyMatch) -> MatchedRule:
        """Copy what a record needs of a match."""
        place = match.rule.place
        return cls(
            setting=match.policy.setting,
            pattern=str(match.rule.pattern),
            reason=match.reason,
            file=place.file,
            line=place.line,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientOutcome:
    """How a try ended for one recipient."""

    recipient: str
    outcome: Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class WouldBe:
    """What a policy that is only tested would have made of a session, on that session's evidence.

    `code` and `text` are what a termination would have been reported with.
    """

    setting: TlsSetting
    verdict: Verdict | NotObserved
    code: StatusCode | None = None
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one message at one host, for the recipients that go there together.

    `session_id` is None when no connection came about for lack of a host. `hosts` are all that the
    destination had at that time, in order; older records don't say. `sent_by` are the words of the
    policy that chose `route`, empty where it was none of them that did. `tested` is None where the
    policy is enforced, and for a session without TLS that an earlier one led to.
    """

    id: str
    message_id: str
    round: int
    hop: Hop | None
    clear: bool
    rule: MatchedRule
    route: str
    session_id: str | None
    verdict: Verdict | None
    outcomes: tuple[RecipientOutcome, ...]
    started_at: datetime
    ended_at: datetime
    hosts: tuple[Hop, ...] = ()
    sent_by: str = ""
    tested: WouldBe | None = None

    def tried(self, recipient: str) -> Tried | None:
        """Return this attempt as one recipient's history sees it."""
        for entry in self.outcomes:
            if entry.recipient == recipient:
                return self._as_tried(entry)
        return None

    def tries(self) -> list[tuple[str, Tried]]:
        """Return the recipients, each with this attempt as its history sees it."""
        return [(entry.recipient, self._as_tried(entry)) for entry in self.outcomes]

    def _as_tried(self, entry: RecipientOutcome) -> Tried:
        return Tried(
            round=self.round,
            hop=self.hop,
            clear=self.clear,
            verdict=self.verdict,
            outcome=entry.outcome,
            ended_at=self.ended_at,
        )


@unique
class BounceAction(Enum):
    """RFC 3464 section 2.3.3, as far as a failure goes."""

    DELAYED = "delayed"
    FAILED = "failed"


@unique
class Notified(Enum):
    """Who was told of a bounce."""

    CLIENT = "client"
    """The client got the code itself, in reply to DATA."""
    SENDER = "sender"
    """A delivery status notification went to the reverse path."""
    BOUNCE_MANAGEMENT = "bounce-management"
    """Bounce management took note of it, and returns nothing to the sender."""
    NOBODY = "nobody"
    """The reverse path is null, or this is a delay that no notification is sent for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounce:
    """One recipient's delayed or final failure.

    `status` and `text` are what is reported: the final code when time ran out. `cause_status` and
    `cause_text` are the last failure itself. `cause` and `remedy` are plain sentences. `faults` are
    all that were found, the first one being the cause. `returned_in` is the message that reported
    it, where it came back later. `salesforce` is None in records of before there was one.
    """

    id: str
    message_id: str
    recipient: str
    reverse_path: str
    action: BounceAction
    status: StatusCode
    text: str
    cause_status: StatusCode
    cause_text: str
    cause: str
    remedy: str
    result_type: ResultType | None
    faults: tuple[TlsFault, ...]
    setting: TlsSetting
    rule: MatchedRule
    route: str
    host: str | None
    address: str | None
    stage: Stage
    attempts: int
    session_id: str | None
    at: datetime
    will_retry_at: datetime | None
    notified: Notified
    returned_in: str | None = None
    salesforce: SalesforceView | None = None
