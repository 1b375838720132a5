"""Mailpit's search syntax, read into terms. Pure.

Words must all occur; quotes hold a phrase together and may stand anywhere in a word; `-` or `!` in
front of a word turns it round. A word may name what it looks in:

    from: to: cc: bcc: reply-to: addressed: subject: message-id:    a part of it, in any case
    tag:                                                             a whole tag, in any case
    is:read is:unread is:tagged has:attachment has:inline
    before: after:          ISO 8601, a day alone standing for its beginning
    larger: smaller:        octets, or with k, kb, m, mb

Any other word is looked for in addresses, subject, text and names of attachments. Where Mailpit
passes over a time that it can't read, this refuses the search, lest DELETE take too much. Source:
Mailpit's documentation, "Search filters".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import Enum, unique
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class SearchError(ValueError):
    """A search that can't be understood; the text is one sentence that repeats no input."""


@unique
class Part(Enum):
    """A part of a message that a text is looked for in; the value is the prefix."""

    FROM = "from"
    TO = "to"
    CC = "cc"
    BCC = "bcc"
    REPLY_TO = "reply-to"
    ADDRESSED = "addressed"
    SUBJECT = "subject"
    MESSAGE_ID = "message-id"
    TAG = "tag"
    ANYWHERE = ""


@unique
class Trait(Enum):
    """Something that a message is or has."""

    READ = "is:read"
    UNREAD = "is:unread"
    TAGGED = "is:tagged"
    ATTACHMENT = "has:attachment"
    INLINE = "has:inline"


@unique
class Bound(Enum):
    """A limit; the value is the prefix."""

    BEFORE = "before"
    AFTER = "after"
    LARGER = "larger"
    SMALLER = "smaller"


@dataclass(frozen=True, slots=True)
class Contains:
    """`text`, as `searchable` returns it, stands in a part."""

    part: Part
    text: str


@dataclass(frozen=True, slots=True)
class Limit:
    """The time received, or the size in octets, is beyond a bound."""

    bound: Bound
    value: datetime | int


@dataclass(frozen=True, slots=True)
class Term:
    """A condition; with `negated`, it must not hold."""

    condition: Contains | Trait | Limit
    negated: bool = False


_TRAITS: Final = {
    **{trait.value: trait for trait in Trait},
    "has:attachments": Trait.ATTACHMENT,
    "has:inlines": Trait.INLINE,
}
_PARTS: Final = {part.value: part for part in Part if part is not Part.ANYWHERE}
_BOUNDS: Final = {bound.value: bound for bound in Bound}
_SIZE: Final = re.compile(r"(\d{1,15})(\.\d{1,9})?\s?(k|kb|m|mb)?", re.ASCII)
_UNITS: Final = {None: 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2}
_NOISE: Final = dict.fromkeys(map(ord, '\ufeff<>",;()'), " ")


def searchable(text: str) -> str:
    """Return a text as it is compared: without case, brackets and punctuation of addresses."""
    return " ".join(text.translate(_NOISE).split()).casefold()


def parse_search(text: str, zone: str | None = None) -> tuple[Term, ...]:
    """Return what a search asks for; `zone` is the one of times that name none.

    Without `zone` they are the machine's own. Raises SearchError.
    """
    where = _zone(zone)
    return tuple(term for word in _words(text) if (term := _term(word, where)) is not None)


def _zone(name: str | None) -> tzinfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise SearchError("The time zone tz is not one such as Europe/Berlin.") from None


def _words(text: str) -> Iterator[str]:
    """Split at spaces that stand outside quotes, and drop the quotes."""
    inside = False
    word: list[str] = []
    for character in f"{text} ":
        if character == '"':
            inside = not inside
        elif character == " " and not inside:
            yield "".join(word).strip()
            word = []
        else:
            word.append(character)
    # A quote that nothing closes holds all the rest together.
    yield "".join(word).strip()


def _term(word: str, zone: tzinfo | None) -> Term | None:
    negated = len(word) > 1 and word[0] in "-!"
    bare = word[1:] if negated else word
    trait = _TRAITS.get(bare.lower())
    if trait is not None:
        return Term(trait, negated)
    prefix, colon, rest = bare.partition(":")
    bound = _BOUNDS.get(prefix.lower()) if colon else None
    if bound is not None:
        limit = _limit(bound, rest.strip(), zone)
        if limit is not None:
            return Term(limit, negated)
    part = _PARTS.get(prefix.lower(), Part.ANYWHERE) if colon else Part.ANYWHERE
    wanted = searchable(bare if part is Part.ANYWHERE else rest)
    return Term(Contains(part, wanted), negated) if wanted else None


def _limit(bound: Bound, text: str, zone: tzinfo | None) -> Limit | None:
    """Return a bound; None for a size that is none, which then is an ordinary word."""
    if bound in {Bound.BEFORE, Bound.AFTER}:
        try:
            at = datetime.fromisoformat(text.upper().replace("/", "-"))
            return Limit(bound, at if at.tzinfo else at.replace(tzinfo=zone).astimezone())
        except (ValueError, OverflowError, OSError):
            raise SearchError(
                f"The time of {bound.value}: is not one such as 2026-11-21 or 2026-11-21T22:50."
            ) from None
    found = _SIZE.fullmatch(text.lower())
    if found is None:
        return None
    whole, fraction, unit = found.groups()
    return Limit(bound, int(float(f"{whole}{fraction or ''}") * _UNITS[unit]))
