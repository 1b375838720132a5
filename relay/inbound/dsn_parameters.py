"""The parameters of the DSN extension, read strictly: RET, ENVID, NOTIFY, ORCPT (RFC 3461).

Keywords are taken in any case; what stands in ENVID and ORCPT is kept as it came, because the
sender compares it with what it gave.
"""

from __future__ import annotations

import re
from typing import Final

from relay.core.codebook import CodeEntry
from relay.core.dsn import Notify, ReturnContent
from relay.inbound import replies

MAX_ENVELOPE_ID: Final = 100
"""Characters of ENVID as encoded, RFC 3461 section 4.4."""
MAX_ORIGINAL_RECIPIENT: Final = 500
"""Characters of ORCPT as encoded, RFC 3461 section 4.2."""

# Printable ASCII but '+' and '=', or an escape that stands for printable ASCII: anything else would
# have no place in the fields of a notification.
_XTEXT: Final = r"(?:[!-*,-<>-~]|\+(?:[2-6][0-9A-F]|7[0-9A-E]))+"
_ENVELOPE_ID: Final = re.compile(_XTEXT)
_ORIGINAL: Final = re.compile(rf"[A-Za-z0-9][A-Za-z0-9-]*;{_XTEXT}")
# RFC 6533 section 3: in a transaction with SMTPUTF8 this address type may be written in UTF-8. The
# set leaves out; one up to U+10FFFF takes `re` milliseconds to compile.
_ORIGINAL_UTF8: Final = re.compile(
    r"utf-8;(?:[^\x00-\x20+=\\\x7f]|\\x\{[0-9A-F]{2,6}\})+", re.IGNORECASE
)


def parse_ret(value: str | None) -> ReturnContent | CodeEntry:
    """Read RET (section 4.3)."""
    try:
        return ReturnContent((value or "").lower())
    except ValueError:
        return replies.BAD_RET


def parse_envelope_id(value: str | None) -> str | CodeEntry:
    """Read ENVID (section 4.4); return it as it came."""
    if value is None or len(value) > MAX_ENVELOPE_ID or not _ENVELOPE_ID.fullmatch(value):
        return replies.BAD_ENVID
    return value


def parse_notify(value: str | None) -> tuple[Notify, ...] | CodeEntry:
    """Read NOTIFY (section 4.1): an empty tuple is NEVER, which stands alone."""
    words = (value or "").lower().split(",")
    if words == ["never"]:
        return ()
    try:
        conditions = tuple(Notify(word) for word in words)
    except ValueError:
        return replies.BAD_NOTIFY
    return conditions if len(set(conditions)) == len(conditions) else replies.BAD_NOTIFY


def parse_original_recipient(value: str | None, *, smtputf8: bool) -> str | CodeEntry:
    """Read ORCPT (section 4.2); return it as it came.

    With `smtputf8`, what the MAIL command asked for, an address of type utf-8 may hold UTF-8, but
    for what no terminal or page would show: it is for a notification's readers.
    """
    if value is None or len(value) > MAX_ORIGINAL_RECIPIENT:
        return replies.BAD_ORCPT
    if _ORIGINAL.fullmatch(value):
        return value
    if smtputf8 and value.isprintable() and _ORIGINAL_UTF8.fullmatch(value):
        return value
    return replies.BAD_ORCPT
