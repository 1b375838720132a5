"""What a sender asks to be told: the DSN extension of SMTP (RFC 3461), as values."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

_ESCAPE: Final = re.compile(rb"\+([0-9A-F]{2})")


@unique
class Notify(Enum):
    """A condition of NOTIFY (RFC 3461 section 4.1). NEVER is an empty set of them."""

    SUCCESS = "success"
    FAILURE = "failure"
    DELAY = "delay"


@unique
class ReturnContent(Enum):
    """How much of a message a notification of its failure returns: RET (section 4.3)."""

    FULL = "full"
    HEADERS = "hdrs"


def decode_xtext(text: str) -> str:
    """Return what xtext stands for (RFC 3461 section 4): '+' and two hex digits are an octet."""
    octets = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode())
    return octets.decode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientRequest:
    """What RCPT asked for one recipient.

    `notify` is None where NOTIFY was not given, and empty for NEVER. `original` is ORCPT as it
    came: address type, semicolon and xtext, such as 'rfc822;Bob@example.com'; None without one.
    """

    recipient: str
    notify: tuple[Notify, ...] | None = None
    original: str | None = None

    def wants(self, condition: Notify) -> bool:
        """Whether this condition is to be told; without NOTIFY, failures are (section 4.1)."""
        if self.notify is None:
            return condition is Notify.FAILURE
        return condition in self.notify


class _Remembered:
    """Room for what a frozen value works out once; no field, hence in no comparison or record."""

    __slots__ = ("_by_recipient",)
    _by_recipient: dict[str, RecipientRequest]


@dataclass(frozen=True, slots=True, kw_only=True)
class DsnRequest(_Remembered):
    """What a transaction asked: RET and ENVID of MAIL, and a request for some recipients.

    `envelope_id` is ENVID as it came, in xtext (section 4.4). A recipient without an entry asked
    for nothing. The default asks for nothing at all.
    """

    ret: ReturnContent | None = None
    envelope_id: str | None = None
    recipients: tuple[RecipientRequest, ...] = ()

    def of(self, recipient: str) -> RecipientRequest:
        """Return what was asked for a recipient, by its first entry if there are several."""
        try:
            asked = self._by_recipient
        except AttributeError:
            asked = {request.recipient: request for request in reversed(self.recipients)}
            object.__setattr__(self, "_by_recipient", asked)
        return asked.get(recipient) or RecipientRequest(recipient=recipient)
