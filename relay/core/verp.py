"""Reverse paths of their own for each message, in the shape of Salesforce's bounce management.

    jane@example.com  ->  jane=example.com__1m7ztn1wxm4gv6m21@bnc.relay.test
                          for people        the message's id    where bounces return to

The id alone counts: it has 40 random bits, so a path that names a message was made by this relay.
The part for people is cut, and then names no address any more, where the local part would exceed 64
octets (RFC 5321 section 4.5.3.1.1; Salesforce itself exceeds them) or where characters of the
address can't stand in it; the message's record has the whole address. A path is ASCII always, so
that a host without SMTPUTF8 can answer to it. The null reverse path stays null: nobody makes one of
these for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from relay.core.addresses import MAX_LOCAL_PART, Address, Domain, parse_address
from relay.core.ids import ID_FORM

_PARTS: Final = "__"
_AT: Final = "="
_READABLE: Final = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9!#$%&'*+/?^_`{|}~-]+")


@dataclass(frozen=True, slots=True)
class VerpPath:
    """What a path says: the message's id, and the sender's address where it is there in full.

    The domain of `sender` is a domain's name; in `local` and `domain` case is as it came.
    """

    message_id: str
    sender: str | None


def encode_verp(sender: str, message_id: str, domain: Domain) -> str:
    """Return the reverse path under which a message of `sender` leaves.

    `sender` is a text that `parse_address` accepts; ValueError otherwise, and where `message_id` is
    not of the form that `make_id` gives.
    """
    if not ID_FORM.fullmatch(message_id):
        raise ValueError(f"{message_id!r} is not the id of a message")
    address = parse_address(sender)
    room = MAX_LOCAL_PART - len(_PARTS) - len(message_id)
    readable = f"{address.local}{_AT}{address.domain}"
    if len(readable) > room or not _READABLE.fullmatch(readable):
        # Without '=' it can't be taken for an address.
        readable = _UNFIT.sub("-", str(address))[:room]
    return f"{readable}{_PARTS}{message_id}@{domain}"


def may_be_verp(text: str) -> bool:
    """Whether an address could be such a path: a cheap question, for the many that are none."""
    return _PARTS in text


def decode_verp(address: Address) -> VerpPath | None:
    """Read a path that `encode_verp` made, whatever its domain; None for any other address.

    Hosts may have changed the capitals of a local part on its way; the id has none.
    """
    readable, parts, message_id = address.local.rpartition(_PARTS)
    message_id = message_id.lower()
    if not parts or not ID_FORM.fullmatch(message_id):
        return None
    local, at, domain = readable.rpartition(_AT)
    return VerpPath(message_id=message_id, sender=f"{local}@{domain}" if at else None)
