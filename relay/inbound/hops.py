"""How many servers a message has passed: its `Received:` fields (RFC 5321 section 6.3)."""

from __future__ import annotations

import re
from typing import Final

_SCANNED: Final = 262_144
"""Octets of a header section that are looked at; trace fields stand on top of it."""
_RECEIVED: Final = re.compile(rb"\r\nreceived[ \t]*:", re.IGNORECASE)


def received_fields(lines: bytearray) -> int:
    """Count the `Received:` fields of a message in front of which stands one CR LF more."""
    end = lines.find(b"\r\n\r\n", 0, _SCANNED)
    return len(_RECEIVED.findall(lines, 0, end if end >= 0 else _SCANNED))
