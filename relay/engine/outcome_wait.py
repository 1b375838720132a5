"""What a client may wait for, and whether a record is that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique
from typing import assert_never

from relay.core.addresses import Domain, domain_of
from relay.core.codebook import CodeBook
from relay.core.contacts import address_key
from relay.core.outcomes import Deferred, Delivered, Failed, Outcome, TlsRefusal
from relay.core.records import Attempt, Bounce, BounceAction, Envelope
from relay.core.replies import StatusCode
from relay.journal.sqlite_reader import code_parts


@unique
class Awaited(Enum):
    """What is waited for."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    """A try ended without delivery; another one may come."""
    BOUNCED = "bounced"
    """The recipient was given up."""
    TLS_FAILED = "tls-failed"
    """A try ended because of the host's TLS."""
    NONE = "none"
    """That none of all this happens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """What happened to a recipient; `code` is what is reported for it, None with a delivery."""

    outcome: Awaited
    message_id: str
    recipient: str
    code: StatusCode | None
    record: Attempt | Bounce


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is waited for, and the marks that must all apply.

    `code` is a reply code, an enhanced one or both; a bounce has it where it is what was reported
    or its cause. `book` returns the code book in force.
    """

    awaited: Awaited
    book: Callable[[], CodeBook]
    recipient: str | None = None
    domain: Domain | None = None
    message_id: str | None = None
    code: str | None = None

    @property
    def one_domain(self) -> Domain | None:
        """The domain that a recipient must be in; None where any will do."""
        if self.domain is not None or self.recipient is None:
            return self.domain
        return domain_of(self.recipient)

    def met_by(self, record: Envelope | Attempt | Bounce) -> Happened | None:
        """Return what happened by a record, None where it is not what is waited for."""
        match record:
            case Envelope():
                return None
            case Attempt():
                return self._attempt(record)
            case Bounce():
                return self._bounce(record)
            case _:
                assert_never(record)

    def _attempt(self, attempt: Attempt) -> Happened | None:
        for entry in attempt.outcomes:
            kind, code = self._told(entry.outcome)
            if kind is None or not self._concerns(attempt.message_id, entry.recipient):
                continue
            if self.code is None or (code is not None and has_code(code, self.code)):
                return Happened(
                    outcome=kind,
                    message_id=attempt.message_id,
                    recipient=entry.recipient,
                    code=code,
                    record=attempt,
                )
        return None

    def _told(self, outcome: Outcome) -> tuple[Awaited | None, StatusCode | None]:
        """Return what an outcome is to who waits, None where it is nothing, and its code."""
        match outcome:
            case Delivered():
                return self._if_wanted(Awaited.DELIVERED), None
            case Deferred(failure=failure) | Failed(failure=failure):
                code = self.book().entry(failure).status
                if isinstance(failure, TlsRefusal) and self.awaited is Awaited.TLS_FAILED:
                    return Awaited.TLS_FAILED, code
                if isinstance(outcome, Failed):
                    # Its bounce follows at once, and tells more.
                    return None, code
                return self._if_wanted(Awaited.DEFERRED), code
            case _:
                assert_never(outcome)

    def _if_wanted(self, kind: Awaited) -> Awaited | None:
        return kind if self.awaited in {kind, Awaited.NONE} else None

    def _bounce(self, bounce: Bounce) -> Happened | None:
        if bounce.action is not BounceAction.FAILED or self._if_wanted(Awaited.BOUNCED) is None:
            return None
        if not self._concerns(bounce.message_id, bounce.recipient):
            return None
        codes = (bounce.status, bounce.cause_status)
        if self.code is not None and not any(has_code(code, self.code) for code in codes):
            return None
        return Happened(
            outcome=Awaited.BOUNCED,
            message_id=bounce.message_id,
            recipient=bounce.recipient,
            code=bounce.status,
            record=bounce,
        )

    def _concerns(self, message_id: str, recipient: str) -> bool:
        return (
            (self.message_id in {None, message_id})
            and (self.domain in {None, domain_of(recipient)})
            and (self.recipient is None or address_key(self.recipient) == address_key(recipient))
        )


def has_code(status: StatusCode, wanted: str) -> bool:
    """Whether a status has a code of a filter: '451', '4.7.5' or both; ValueError for others."""
    reply, enhanced = code_parts(wanted)
    return (reply in {None, str(status.code)}) and (enhanced in {None, status.enhanced})
