"""The addresses that nearly all mail has, read at one look; all others go to the full parser.

Plain is a path of ASCII with a dot-string and a domain of letters, digits and inner hyphens, each
within its length, and no parameter behind it but SIZE and BODY=8BITMIME: what most clients say.
"""

from __future__ import annotations

import re
from typing import Final

_ATEXT: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Look-aheads bound the whole: 64 octets of local part, 255 of domain (RFC 5321 section 4.5.3.1).
_PATH: Final = (
    rf" ?<((?=[^@>]{{1,64}}@)(?=[^@>]+@[^@>]{{1,255}}>){_ATEXT}(?:\.{_ATEXT})*"
    rf"@{_LABEL}(?:\.{_LABEL})*)>"
)
_MAIL: Final = re.compile(
    rf"(?i:FROM):{_PATH}(?: (?i:SIZE)=([0-9]{{1,20}}))?( (?i:BODY=8BITMIME))?"
)
_RCPT: Final = re.compile(rf"(?i:TO):{_PATH}")


def plain_mail(argument: str) -> tuple[str, int, bool] | None:
    """Return path, SIZE and whether BODY is 8BITMIME; None where the full parser must look."""
    found = _MAIL.fullmatch(argument)
    if found is None:
        return None
    path, size, eight_bit = found.groups()
    return path, int(size or 0), eight_bit is not None


def plain_rcpt(argument: str) -> str | None:
    """Return the path; None where the full parser must look."""
    found = _RCPT.fullmatch(argument)
    return found[1] if found else None
