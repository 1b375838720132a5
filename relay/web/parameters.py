"""Parameters that routes share, each read once into what it means."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import BeforeValidator, WithJsonSchema

from relay.config.values import FileValueError, read_duration
from relay.core.addresses import Domain, parse_address, parse_domain

MAX_PAGE: Final = 1000
"""Records of one page at most."""
_AGO: Final = re.compile(r"\d{1,6}[smhd]", re.ASCII)


def read_moment(text: object) -> datetime:
    """Read a point in time: ISO 8601, of GMT where it has no offset, or how long ago, as '24h'."""
    if not isinstance(text, str):
        raise ValueError("a time such as 2026-03-01T13:37Z, or 24h ago")
    try:
        if _AGO.fullmatch(text):
            return datetime.now(UTC) - read_duration(text)
        # A plus in a query that nobody encoded is a blank by now.
        at = datetime.fromisoformat(text.strip().replace(" ", "+") if "T" in text else text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ValueError("not a time; one is 2026-03-01T13:37Z, or 24h, 7d, 30m ago") from None


def _read_span(text: object) -> timedelta:
    try:
        return read_duration(text)
    except FileValueError:
        raise ValueError("not a duration; one is 10s, 500ms or 2m") from None


def _read_domain(text: object) -> Domain:
    try:
        return parse_domain(str(text))
    except ValueError:
        raise ValueError("not a domain's name") from None


def _read_address(text: object) -> str:
    try:
        parse_address(str(text))
    except ValueError:
        raise ValueError("not an address such as jane@example.com") from None
    return str(text)


def _read_sender(text: object) -> str:
    return _read_address(text) if text else ""


_TEXT: Final = WithJsonSchema({"type": "string"})

Id = Annotated[
    str,
    Path(
        min_length=1,
        max_length=64,
        description="An id, a beginning of it that no other has, or `latest`.",
    ),
]
Before = Annotated[
    str | None, Query(max_length=64, description="Only those older than the record of this id.")
]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="How many at most.")]
Since = Annotated[
    Annotated[datetime, BeforeValidator(read_moment), _TEXT] | None,
    Query(description="Only from this time on: ISO 8601, or how long ago, such as `24h`."),
]
Until = Annotated[
    Annotated[datetime, BeforeValidator(read_moment), _TEXT] | None,
    Query(description="Only before this time."),
]
Span = Annotated[timedelta, BeforeValidator(_read_span), _TEXT]
DomainName = Annotated[Domain, BeforeValidator(_read_domain), _TEXT]
MailAddress = Annotated[str, BeforeValidator(_read_address), _TEXT]
ReversePath = Annotated[str, BeforeValidator(_read_sender), _TEXT]
Code = Annotated[
    str | None,
    Query(
        pattern=r"^\s*(\d{3}|\d\.\d{1,3}\.\d{1,3}|\d{3}[ +]?\d\.\d{1,3}\.\d{1,3})\s*$",
        description="A reply code, an enhanced code, or both: `451`, `4.7.5`, `451 4.7.5`.",
    ),
]
