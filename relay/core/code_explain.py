"""From a code, a line of a log or a bounce's text to what is behind it. Pure.

A wording tells more than an enhanced code, and that more than a reply code; among wordings the
longest tells most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from relay.core.code_causes import Cause
from relay.core.code_lists import PARDOT_ENHANCED_CODES, PARDOT_REPLY_CODES, SALESFORCE_NDR
from relay.core.code_meanings import CLASSES, ENHANCED_CODES, REPLY_CODES, SPECIAL, SUBJECTS
from relay.core.code_phrases import BY_ENHANCED, BY_REPLY, BY_WHOLE_CODE, PHRASES
from relay.core.code_sources import Meaning, Source

MAX_LINE: Final = 4000
"""Characters looked at; a reply has at most 512 octets a line (RFC 5321 section 4.5.3.1.5)."""

_PAIR: Final = re.compile(
    r"(?<![\w.:/-])([245]\d\d)(?:[ -]|\s+#?)([245])\.(\d{1,3})\.(\d{1,3})(?![\w.])"
)
_NAMED: Final = re.compile(
    r"(?:dsn=|Status:\s*|#|\()([245]\.\d{1,3}\.\d{1,3})(?![\d.])", re.IGNORECASE
)
_ENHANCED: Final = re.compile(r"(?<![\w.:/\[-])([245]\.\d{1,3}\.\d{1,3})(?![\w.]*\d)")
_SAID: Final = re.compile(
    r"(?:said:|smtp;|^|reply:?|<<<)\s*([2-5]\d\d)(?=[ -]|$)", re.IGNORECASE | re.MULTILINE
)
_REPLY: Final = re.compile(r"(?<![\w.:/=+\[-])([2-5]\d\d)(?![\w.:/])")


@unique
class Finality(Enum):
    """What a code's class, or a log's own word, says of the message."""

    SUCCESS = "success"
    INTERMEDIATE = "intermediate"
    TRANSIENT = "transient"
    FINAL = "final"
    UNKNOWN = "unknown"
    """There is no code, and no such word."""


_FATE: Final = re.compile(r"\b(defer(?:red)?|bounced)\b", re.IGNORECASE)
_FATES: Final = {
    "defer": Finality.TRANSIENT,
    "deferred": Finality.TRANSIENT,
    "bounced": Finality.FINAL,
}
"""What logs say where they give no code."""


@unique
class Clue(Enum):
    """What a cause was recognised by."""

    WORDING = "wording"
    ENHANCED_CODE = "enhanced-code"
    REPLY_CODE = "reply-code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a cause is named: the words or code that were found, and whose they are."""

    clue: Clue
    found: str
    source: Source


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedCause:
    """A cause, and why it is named, the best reason first."""

    cause: Cause
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known of a line; `causes` come most likely first.

    The codes are None where the line has none. `listed` are the entries of published lists.
    """

    given: str
    reply: int | None
    enhanced: str | None
    finality: Finality
    reply_meaning: Meaning | None
    enhanced_meaning: Meaning | None
    listed: tuple[Meaning, ...]
    causes: tuple[RankedCause, ...]

    @property
    def known(self) -> bool:
        """Whether anything more is known than what the digits mean in general."""
        return bool(self.reply_meaning or self.enhanced_meaning or self.listed or self.causes)


@dataclass(frozen=True, slots=True)
class Codes:
    """The codes in a line, None where it has none."""

    reply: int | None
    enhanced: str | None


def find_codes(line: str) -> Codes:
    """Find a line's codes: side by side, or named as in a log or a notification, or alone.

    Dates, addresses, ports and versions are passed over as far as their signs tell.
    """
    for pair in _PAIR.finditer(line):
        if pair[1][0] == pair[2]:
            return Codes(int(pair[1]), f"{pair[2]}.{int(pair[3])}.{int(pair[4])}")
    named = _NAMED.search(line) or _ENHANCED.search(line)
    enhanced = ".".join(str(int(part)) for part in named[1].split(".")) if named else None
    replies = [int(found[1]) for found in (*_SAID.finditer(line), *_REPLY.finditer(line))]
    known = [code for code in replies if code in REPLY_CODES or code in SALESFORCE_NDR]
    if enhanced is not None:
        same = [code for code in known if str(code)[0] == enhanced[0]]
        return Codes(same[0] if same else None, enhanced)
    alone = line.strip()
    if alone.isascii() and alone.isdigit() and len(alone) == 3 and alone[0] in "2345":
        return Codes(int(alone), None)
    return Codes(known[0] if known else None, None)


def explain(line: str) -> Explanation:
    """Explain a code, or a line that has one or says what happened in words.

    Only its first `MAX_LINE` characters count.
    """
    line = line[:MAX_LINE]
    codes = find_codes(line)
    reply, enhanced = codes.reply, codes.enhanced
    detail = enhanced.partition(".")[2] if enhanced else ""
    return Explanation(
        given=" ".join(line.split()),
        reply=reply,
        enhanced=enhanced,
        finality=_finality(line, codes),
        reply_meaning=REPLY_CODES.get(reply) if reply else None,
        enhanced_meaning=SPECIAL.get(enhanced or "") or ENHANCED_CODES.get(detail),
        listed=tuple(_listed(codes)),
        causes=_ranked(line, codes),
    )


def general_meaning(enhanced: str) -> str:
    """Say what class and subject of an enhanced code mean, known or not (RFC 3463)."""
    number, subject, _ = (int(part) for part in enhanced.split("."))
    about = SUBJECTS.get(subject)
    words = f"; about {about.text}" if about else f"; subject {subject} is not assigned"
    return f"{CLASSES[number].text}{words}"


def _finality(line: str, codes: Codes) -> Finality:
    first = str(codes.reply or codes.enhanced or "0")[0]
    if first == "0":
        said = _FATE.search(line)
        return Finality.UNKNOWN if said is None else _FATES[said[1].lower()]
    return {
        "2": Finality.SUCCESS,
        "3": Finality.INTERMEDIATE,
        "4": Finality.TRANSIENT,
        "5": Finality.FINAL,
    }.get(first, Finality.UNKNOWN)


def _listed(codes: Codes) -> Iterator[Meaning]:
    found = (
        SALESFORCE_NDR.get(codes.reply or 0),
        PARDOT_REPLY_CODES.get(codes.reply or 0),
        PARDOT_ENHANCED_CODES.get(codes.enhanced or ""),
    )
    yield from (meaning for meaning in found if meaning is not None)


def _ranked(line: str, codes: Codes) -> tuple[RankedCause, ...]:
    ranks: dict[Cause, tuple[int, int, int]] = {}
    reasons: dict[Cause, list[Reason]] = {}
    for rank, cause, reason in sorted(_clues(line, codes), key=lambda clue: clue[0]):
        ranks.setdefault(cause, rank)
        known = reasons.setdefault(cause, [])
        if all(reason.clue is not other.clue for other in known):
            known.append(reason)
    ordered = sorted(ranks, key=lambda cause: ranks[cause])
    return tuple(RankedCause(cause=cause, reasons=tuple(reasons[cause])) for cause in ordered)


def _clues(line: str, codes: Codes) -> Iterator[tuple[tuple[int, int, int], Cause, Reason]]:
    """Yield every cause that anything speaks for, with its rank: the lower, the likelier."""
    for phrase in PHRASES:
        found = phrase.pattern.search(line)
        if found is None:
            continue
        words = " ".join(found[0].split())
        reason = Reason(clue=Clue.WORDING, found=words, source=phrase.source)
        for place, cause in enumerate(phrase.causes):
            # A wording's second cause is less likely than the first of a shorter wording.
            yield (min(place, 1), -len(words), place), cause, reason
    if codes.enhanced is not None:
        detail = codes.enhanced.partition(".")[2]
        source = (SPECIAL.get(codes.enhanced) or ENHANCED_CODES.get(detail) or CLASSES[4]).source
        reason = Reason(clue=Clue.ENHANCED_CODE, found=codes.enhanced, source=source)
        likely = (
            BY_WHOLE_CODE.get(f"{codes.reply} {codes.enhanced}")
            or BY_WHOLE_CODE.get(codes.enhanced)
            or BY_ENHANCED.get(detail, ())
        )
        for place, cause in enumerate(likely):
            yield (2, 0, place), cause, reason
    if codes.reply is not None:
        listed = REPLY_CODES.get(codes.reply) or SALESFORCE_NDR.get(codes.reply)
        reason = Reason(
            clue=Clue.REPLY_CODE,
            found=str(codes.reply),
            source=listed.source if listed else Source.RFC_5321,
        )
        for place, cause in enumerate(BY_REPLY.get(codes.reply, ())):
            if codes.enhanced is None or codes.enhanced.endswith(".0.0"):
                yield (3, 0, place), cause, reason
