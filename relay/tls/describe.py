"""Words for certificates, in the details of faults. Everything a host wrote is made printable."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

_MAX_TEXT: Final = 200
_MAX_LISTED: Final = 8


def printable(text: str) -> str:
    """Return text from a certificate without control characters, and not endless."""
    clean = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    return clean if len(clean) <= _MAX_TEXT else f"{clean[:_MAX_TEXT]}..."


def name_text(name: x509.Name) -> str:
    """Return a distinguished name in RFC 4514's form."""
    return printable(name.rfc4514_string()) or "(no name)"


def listed(items: Sequence[str]) -> str:
    """Return the items, parted by commas; of many only the first few and the number of the rest."""
    shown = ", ".join(printable(item) for item in items[:_MAX_LISTED])
    more = len(items) - _MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown


def moment(when: datetime) -> str:
    """Return a time of a certificate, such as '2026-11-20 18:00 UTC'."""
    return when.strftime("%Y-%m-%d %H:%M UTC")


def distance(span: timedelta) -> str:
    """Return a span in its largest whole unit, such as '1 day' or '3 hours'."""
    seconds = abs(int(span.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        count = seconds // size
        if count:
            return f"{count} {unit}{'s' if count > 1 else ''}"
    return "less than a minute"
