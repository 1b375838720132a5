"""Notices: what people are told of by themselves, and how a thousand occasions make two notices.

    occasion ──> key (kind, domain, code) ──> Window: the first is told at once,
                                              the others in one summary when the window closes

A window that closes with a summary is followed by another one, in which nothing is told at once; a
window in which nothing happened ends the matter, and the next occasion is told at once again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, unique
from typing import Final, NamedTuple, assert_never

from relay.core.addresses import Domain, parse_address
from relay.core.bounces import explain_failure
from relay.core.codebook import CodeBook
from relay.core.fault_cards import card
from relay.core.faults import TlsFault
from relay.core.outcomes import Deferred, Failed, TlsRefusal
from relay.core.records import Attempt, Bounce
from relay.core.replies import StatusCode
from relay.core.settings import TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate


@unique
class NoticeKind(Enum):
    """What a notice is about."""

    BOUNCED = "bounced"
    """A message to the domain was given up."""
    FIRST_TLS_FAILURE = "first-tls-failure"
    """TLS with the domain failed, as far as the journal knows for the first time."""
    STOPPED_VERIFYING = "stopped-verifying"
    """The domain's certificate was verified the time before, and is not any more."""


@unique
class Report(Enum):
    """When a notice comes."""

    FIRST = "first"
    """At once, about one occasion."""
    SUMMARY = "summary"
    """At the end of a window, about all occasions in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsTrouble:
    """An attempt that showed trouble with TLS; `code` is None where the message went all the same.

    `cause` and `remedy` are a sentence or two each.
    """

    at: datetime
    message_id: str
    setting: TlsSetting
    host: str | None
    code: StatusCode | None
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounced:
    """A recipient's final failure was recorded."""

    bounce: Bounce


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstTlsFailure:
    """TLS with a domain failed for the first time."""

    domain: Domain
    trouble: TlsTrouble


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedVerifying:
    """A domain that verified until `verified_at` does so no more."""

    domain: Domain
    verified_at: datetime
    trouble: TlsTrouble


Occasion = Bounced | FirstTlsFailure | StoppedVerifying


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """What people are told: `count` occasions of one kind, one domain and one code.

    Cause, remedy, setting and host are those of the last occasion, and so are `message_id` and
    `bounce_id`, which is None where no message was given up. `code` is None where no code was
    reported because the message went all the same. `verified_at` belongs to a domain that stopped
    verifying. `next` is the command that shows more.
    """

    kind: NoticeKind
    report: Report
    domain: Domain
    count: int
    first_at: datetime
    last_at: datetime
    code: StatusCode | None
    setting: TlsSetting
    host: str | None
    cause: str
    remedy: str
    message_id: str
    bounce_id: str | None
    verified_at: datetime | None
    next: str

    @property
    def key(self) -> NoticeKey:
        """What notices are collapsed by."""
        return NoticeKey(self.kind, self.domain, self.code)


class NoticeKey(NamedTuple):
    """What notices are collapsed by."""

    kind: NoticeKind
    domain: Domain
    code: StatusCode | None


def first_notice(occasion: Occasion) -> Notice:
    """Return the notice of one occasion."""
    match occasion:
        case Bounced(bounce=bounce):
            return Notice(
                kind=NoticeKind.BOUNCED,
                report=Report.FIRST,
                domain=parse_address(bounce.recipient).domain,
                count=1,
                first_at=bounce.at,
                last_at=bounce.at,
                code=bounce.status,
                setting=bounce.setting,
                host=bounce.host,
                cause=bounce.cause,
                remedy=bounce.remedy,
                message_id=bounce.message_id,
                bounce_id=bounce.id,
                verified_at=None,
                next=f"relay bounces show {bounce.id}",
            )
        case FirstTlsFailure(domain=domain, trouble=trouble):
            return _of_trouble(NoticeKind.FIRST_TLS_FAILURE, domain, trouble, None)
        case StoppedVerifying(domain=domain, verified_at=verified_at, trouble=trouble):
            return _of_trouble(NoticeKind.STOPPED_VERIFYING, domain, trouble, verified_at)
        case _:
            assert_never(occasion)


def _of_trouble(
    kind: NoticeKind, domain: Domain, trouble: TlsTrouble, verified_at: datetime | None
) -> Notice:
    return Notice(
        kind=kind,
        report=Report.FIRST,
        domain=domain,
        count=1,
        first_at=trouble.at,
        last_at=trouble.at,
        code=trouble.code,
        setting=trouble.setting,
        host=trouble.host,
        cause=trouble.cause,
        remedy=trouble.remedy,
        message_id=trouble.message_id,
        bounce_id=None,
        verified_at=verified_at,
        next=f"relay messages show {trouble.message_id}",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What happened since `opened_at` under one key; `told` of it were told at once.

    `last` is the notice of the last occasion, in this window or before it.
    """

    opened_at: datetime
    told: int
    count: int
    first_at: datetime
    last: Notice


class Collapsed(NamedTuple):
    """What follows: the window from now on (None: closed for good), and what to tell now."""

    window: Window | None
    tell: Notice | None


def collapse(window: Window | None, notice: Notice, *, now: datetime) -> Collapsed:
    """Take in one occasion's notice under its key; `window` is the key's, None for none."""
    if window is None:
        return Collapsed(
            Window(opened_at=now, told=1, count=1, first_at=notice.first_at, last=notice), notice
        )
    first_at = window.first_at if window.count else notice.first_at
    return Collapsed(replace(window, count=window.count + 1, first_at=first_at, last=notice), None)


def close(window: Window, *, now: datetime) -> Collapsed:
    """Close a window: tell what was not told at once, and go on where there was anything."""
    if window.count == window.told:
        return Collapsed(None, None)
    summary = replace(
        window.last, report=Report.SUMMARY, count=window.count, first_at=window.first_at
    )
    return Collapsed(
        Window(opened_at=now, told=0, count=0, first_at=now, last=window.last), summary
    )


_NO_TLS: Final = "Read the session's transcript."


def tls_trouble(attempt: Attempt, faults: tuple[TlsFault, ...], *, book: CodeBook) -> TlsTrouble:
    """Tell what an attempt showed of TLS that is not as it should be.

    `faults` are the session's. The code is the one that `book` has for the refusal; none where
    clear text was allowed.
    """
    setting = attempt.rule.setting
    code: StatusCode | None = None
    match attempt.verdict:
        case Terminate():
            refusal = _refusal(attempt)
            cause, remedy = _words(faults)
            if refusal is not None:
                code = book.entry(refusal).status
                explanation = explain_failure(refusal)
                cause, remedy = explanation.cause, explanation.remedy
        case RetryInClear():
            cause, remedy = _words(faults)
            cause = f"{cause} {setting.label} lets the message go in clear text instead."
        case Deliver() | None:
            cause, remedy = _words(faults)
            cause = f"{cause} {setting.label} let the message go in clear text."
        case _:
            assert_never(attempt.verdict)
    return TlsTrouble(
        at=attempt.ended_at,
        message_id=attempt.message_id,
        setting=setting,
        host=attempt.hop.host if attempt.hop else None,
        code=code,
        cause=cause,
        remedy=remedy,
    )


def _words(faults: tuple[TlsFault, ...]) -> tuple[str, str]:
    if not faults:
        return "No TLS session came about.", _NO_TLS
    found = " ".join(f"{card(fault).meaning} ({fault.detail})" for fault in faults)
    return found, card(faults[0]).remedy


def _refusal(attempt: Attempt) -> TlsRefusal | None:
    for entry in attempt.outcomes:
        match entry.outcome:
            case (
                Deferred(failure=TlsRefusal() as refusal) | Failed(failure=TlsRefusal() as refusal)
            ):
                return refusal
            case _:
                pass
    return None
