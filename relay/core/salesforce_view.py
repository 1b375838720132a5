"""What Salesforce would record of a bounce, and why a contact is flagged or is not. Pure.

    EmailMessage.IsBounced                       is_bounced
    Contact/Lead.EmailBouncedReason, ...Date     email_bounced_reason, email_bounced_date
                                                 written only where contact_flagged

The reason and the date are always filled in, as they would read. Sources: Help "Deliverability"
(hard and soft), Knowledge 000325367 and 000385221 (user unknown), Help
pardot_email_common_bounce_codes (five soft bounces); they disagree on what a failure of TLS sets,
hence `FlagContactOn`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, unique
from types import MappingProxyType
from typing import Final, assert_never

from relay.core.replies import StatusCode
from relay.core.salesforce import BounceManagement, BounceRule, FlagContactOn, MatchingRecords
from relay.core.user_unknown import says_user_unknown

MAX_REASON: Final = 255
"""Characters of EmailBouncedReason."""
SOFT_BOUNCES: Final = 5
"""The soft bounce, counted from one, that Pardot takes for a hard one."""


@unique
class BounceKind(Enum):
    """By the code that is reported: 5xx or 4xx."""

    HARD = "hard"
    SOFT = "soft"


@unique
class SaidBy(Enum):
    """Whose words a failure's code and text are."""

    RECIPIENT_HOST = "recipient-host"
    """The host that keeps the recipient's mail, in the session or by a notification."""
    OTHER_HOST = "other-host"
    """A relay on the way."""
    THIS_RELAY = "this-relay"
    SUPPRESSION = "suppression"
    """This relay, because the address is flagged already."""


@unique
class FlagReason(Enum):
    """Why a bounce flags the contact, or does not."""

    ANY_FAILURE = "any-failure"
    HARD_BOUNCE = "hard-bounce"
    USER_UNKNOWN = "user-unknown"
    ENOUGH_SOFT_BOUNCES = "enough-soft-bounces"
    NOT_ACTIVE = "not-active"
    STILL_TRIED = "still-tried"
    SOFT_BOUNCE = "soft-bounce"
    NOT_RECIPIENT_HOST = "not-recipient-host"
    NOT_USER_UNKNOWN = "not-user-unknown"
    TOO_FEW_SOFT_BOUNCES = "too-few-soft-bounces"
    FLAGGED_BEFORE = "flagged-before"

    @property
    def flags(self) -> bool:
        """Whether the contact is flagged for this reason."""
        return self in _FLAGGING

    @property
    def sentence(self) -> str:
        """The reason for people."""
        return _SENTENCES[self]


_FLAGGING: Final = frozenset(
    {
        FlagReason.ANY_FAILURE,
        FlagReason.HARD_BOUNCE,
        FlagReason.USER_UNKNOWN,
        FlagReason.ENOUGH_SOFT_BOUNCES,
    }
)
_SENTENCES: Final[Mapping[FlagReason, str]] = MappingProxyType(
    {
        FlagReason.ANY_FAILURE: "Every failed delivery flags the contact.",
        FlagReason.HARD_BOUNCE: "A hard bounce (5xx) flags the contact.",
        FlagReason.USER_UNKNOWN: "The recipient's own host said that there is no such user.",
        FlagReason.ENOUGH_SOFT_BOUNCES: f"It is soft bounce number {SOFT_BOUNCES} or a later one.",
        FlagReason.NOT_ACTIVE: "The policy has no `salesforce: {bounce_management: ...}`.",
        FlagReason.STILL_TRIED: "Delivery is only delayed.",
        FlagReason.SOFT_BOUNCE: "A soft bounce (4xx) flags nobody; only a hard one does.",
        FlagReason.NOT_RECIPIENT_HOST: "The recipient's own host said nothing about the address.",
        FlagReason.NOT_USER_UNKNOWN: "The host did not say that there is no such user.",
        FlagReason.TOO_FEW_SOFT_BOUNCES: f"There are fewer than {SOFT_BOUNCES} soft bounces.",
        FlagReason.FLAGGED_BEFORE: "Nothing was sent: the address had been flagged before.",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceView:
    """One bounce as Salesforce would show it.

    `email_bounced_reason` has 255 characters at most, printable ones alone. `contact_flagged` and
    `why` answer whether the two fields are written to contacts and leads, `matching_records` to
    which of them.
    """

    email_bounced_reason: str
    email_bounced_date: datetime
    kind: BounceKind
    contact_flagged: bool
    why: FlagReason
    matching_records: MatchingRecords
    is_bounced: bool


def salesforce_view(
    *,
    status: StatusCode,
    text: str,
    final: bool,
    said_by: SaidBy,
    earlier_soft: int,
    management: BounceManagement | None,
    at: datetime,
) -> SalesforceView:
    """Judge one bounce.

    `status` and `text` are what is reported. `final`: nothing more is tried. `earlier_soft` counts
    the address's final soft bounces before this one, since it was cleared. `management` is None
    where bounce management is off.
    """
    kind = BounceKind.HARD if status.permanent else BounceKind.SOFT
    why = _why(status, text, final, said_by, earlier_soft, management)
    return SalesforceView(
        email_bounced_reason=bounced_reason(status, text),
        email_bounced_date=at,
        kind=kind,
        contact_flagged=why.flags,
        why=why,
        matching_records=management.matching_records if management else MatchingRecords.ALL,
        is_bounced=final and management is not None and said_by is not SaidBy.SUPPRESSION,
    )


def bounced_reason(status: StatusCode, text: str) -> str:
    """Return EmailBouncedReason: code and text, what is not printable replaced, cut to fit."""
    flat = " ".join(f"{status} {text}".split())
    return "".join(c if c.isprintable() else "?" for c in flat)[:MAX_REASON]


def _why(  # noqa: PLR0917  # one answer for each reason
    status: StatusCode,
    text: str,
    final: bool,
    said_by: SaidBy,
    earlier_soft: int,
    management: BounceManagement | None,
) -> FlagReason:
    if management is None:
        return FlagReason.NOT_ACTIVE
    if said_by is SaidBy.SUPPRESSION:
        return FlagReason.FLAGGED_BEFORE
    if not final:
        return FlagReason.STILL_TRIED
    match management.rule:
        case BounceRule.PARDOT:
            if status.permanent:
                return FlagReason.HARD_BOUNCE
            enough = earlier_soft + 1 >= SOFT_BOUNCES
            return FlagReason.ENOUGH_SOFT_BOUNCES if enough else FlagReason.TOO_FEW_SOFT_BOUNCES
        case BounceRule.SALESFORCE:
            return _by_switch(status, text, said_by, management.flag_contact_on)
        case _:
            assert_never(management.rule)


def _by_switch(status: StatusCode, text: str, said_by: SaidBy, switch: FlagContactOn) -> FlagReason:
    match switch:
        case FlagContactOn.ANY:
            return FlagReason.ANY_FAILURE
        case FlagContactOn.HARD:
            return FlagReason.HARD_BOUNCE if status.permanent else FlagReason.SOFT_BOUNCE
        case FlagContactOn.USER_UNKNOWN:
            if not status.permanent:
                return FlagReason.SOFT_BOUNCE
            if said_by is not SaidBy.RECIPIENT_HOST:
                return FlagReason.NOT_RECIPIENT_HOST
            known = says_user_unknown(status, text)
            return FlagReason.USER_UNKNOWN if known else FlagReason.NOT_USER_UNKNOWN
        case _:
            assert_never(switch)
