"""Whether a host's words say that it has no such user.

Salesforce compares a refusal with a list of phrases (Knowledge 000325367), of which only the
beginning is public. The list here is this project's own: phrases of the mail servers in wide use.
"""

from __future__ import annotations

from typing import Final

from relay.core.replies import StatusCode

USER_UNKNOWN_STATUS: Final = frozenset(
    {"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
)
"""Enhanced codes of RFC 3463 that concern the address itself, or a mailbox that is switched off."""

USER_UNKNOWN_PHRASES: Final = (
    "account disabled",
    "account has been disabled",
    "account inactive",
    "account is disabled",
    "account is inactive",
    "account not found",
    "address invalid",
    "address is invalid",
    "address not found",
    "address rejected: undeliverable",
    "address unknown",
    "does not exist",
    "invalid address",
    "invalid mailbox",
    "invalid recipient",
    "mailbox disabled",
    "mailbox not found",
    "mailbox unavailable",
    "mailbox unknown",
    "no longer valid",
    "no mailbox",
    "no such mailbox",
    "no such recipient",
    "no such user",
    "not a known user",
    "not a valid mailbox",
    "not our customer",
    "recipient not found",
    "recipient rejected",
    "recipient unknown",
    "recipientnotfound",
    "unknown address",
    "unknown in virtual",
    "unknown local part",
    "unknown mailbox",
    "unknown recipient",
    "unknown user",
    "unrouteable address",
    "user disabled",
    "user doesn't exist",
    "user not found",
    "user unknown",
)
"""In lower case; one of them anywhere in the text is enough."""


def says_user_unknown(status: StatusCode, text: str) -> bool:
    """Whether a refusal is final and says that there is no such user, by its code or its words."""
    if not status.permanent:
        return False
    if status.enhanced in USER_UNKNOWN_STATUS:
        return True
    words = " ".join(text.lower().split())
    return any(phrase in words for phrase in USER_UNKNOWN_PHRASES)
