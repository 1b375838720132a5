"""What a domain's past says about a TLS failure: the first one, the end of verifying, or no news.

Pure functions over attempts. Attempts without a verdict (no host, no connection) and those that
were in clear by plan say nothing about a domain's TLS and are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, unique
from typing import Final, assert_never

from relay.core.records import Attempt
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate


@unique
class TlsResult(Enum):
    """What one attempt showed of a domain's TLS."""

    VERIFIED = "verified"
    ENCRYPTED = "encrypted"
    CLEAR = "clear"
    """TLS was wanted, none was offered, and the setting lets the message go in clear text."""
    FAILED = "failed"
    """The session ended for the sake of TLS."""


def tls_result(attempt: Attempt) -> TlsResult | None:
    """Return what an attempt showed; None where it showed nothing about TLS."""
    if attempt.clear or attempt.rule.setting is TlsSetting.OFF:
        return None
    match attempt.verdict:
        case None:
            return None
        case Deliver(protection=Protection.VERIFIED):
            return TlsResult.VERIFIED
        case Deliver(protection=Protection.ENCRYPTED):
            return TlsResult.ENCRYPTED
        case Deliver():
            return TlsResult.CLEAR
        case Terminate() | RetryInClear():
            return TlsResult.FAILED
        case _:
            assert_never(attempt.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsPast:
    """A domain's past: whether TLS ever failed there, and since when it counts as verifying.

    `verified_at` is the end of the last attempt that verified, where none failed or went in clear
    after it; an attempt that encrypted without verifying changes nothing.
    """

    failed: bool = False
    verified_at: datetime | None = None

    def after(self, attempt: Attempt) -> TlsPast:
        """Return the past that one more attempt makes."""
        match tls_result(attempt):
            case TlsResult.VERIFIED:
                return replace(self, verified_at=attempt.ended_at)
            case TlsResult.FAILED:
                return TlsPast(failed=True)
            case TlsResult.CLEAR:
                return replace(self, verified_at=None)
            case TlsResult.ENCRYPTED | None:
                return self
            case never:
                assert_never(never)


NO_PAST: Final = TlsPast()


def past_of(attempts: Iterable[Attempt]) -> TlsPast:
    """Return the past that attempts at one domain, oldest first, make."""
    past = NO_PAST
    for attempt in attempts:
        past = past.after(attempt)
    return past


@unique
class TlsNews(Enum):
    """What an attempt says that nobody was told before."""

    FIRST_FAILURE = "first-failure"
    STOPPED_VERIFYING = "stopped-verifying"


def tls_news(past: TlsPast, attempt: Attempt) -> TlsNews | None:
    """Say whether an attempt is news after that past.

    A domain that verified until now has stopped, be that its first failure or not.
    """
    match tls_result(attempt):
        case TlsResult.FAILED if past.verified_at is not None:
            return TlsNews.STOPPED_VERIFYING
        case TlsResult.CLEAR if past.verified_at is not None and attempt.rule.setting.verifies:
            return TlsNews.STOPPED_VERIFYING
        case TlsResult.FAILED if not past.failed:
            return TlsNews.FIRST_FAILURE
        case _:
            return None
