"""Which TLS versions and cipher suites a host accepts: one session for each question, in turn.

A host is asked for a version by a session that offers nothing else, and for its suites by leaving
out what it chose until it chooses none. Every session ends with QUIT; none has a way to send mail.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from relay.core.evidence import HandshakeDone, HandshakeFailed, NotTried
from relay.core.records import Session
from relay.core.settings import TlsVersion
from relay.tls.contexts import ClientContexts
from relay.tls.probing import PinnedContexts, known_suites, why_not_tried

MOST_SESSIONS: Final = 64
"""Sessions that one host's suites may cost; a list that is cut off by that says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A handshake within this version stood; `cipher` is what the host chose of everything."""

    kind: Literal["accepted"] = "accepted"
    cipher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """No handshake came about within this version; `detail` is the library's reason."""

    kind: Literal["declined"] = "declined"
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAsked:
    """Nobody knows; `why` is a clause."""

    kind: Literal["not-asked"] = "not-asked"
    why: str


VersionAnswer = Accepted | Declined | NotAsked


@dataclass(frozen=True, slots=True, kw_only=True)
class Suites:
    """What a host accepts, in the order in which it chose; not `complete` where asking was cut off.

    `of` counts what it was offered in all.
    """

    names: tuple[str, ...]
    of: int
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionResult:
    """What a host makes of one version; `suites` is None where they were not asked about."""

    version: TlsVersion
    answer: VersionAnswer
    suites: Suites | None = None


Ask = Callable[[ClientContexts, TlsVersion], Awaitable[Session]]
"""Opens a session with the host within these contexts, says QUIT, and returns its record."""


async def ask_versions(ask: Ask, *, suites: bool) -> tuple[VersionResult, ...]:
    """Ask for each version, the oldest first; with `suites` for those of each accepted one."""
    left = MOST_SESSIONS
    found = []
    for version in TlsVersion:
        answer = await _ask_version(ask, version)
        listed = None
        if suites and isinstance(answer, Accepted) and version is not TlsVersion.TLS1_3:
            listed, used = await _ask_suites(ask, version, left)
            left -= used
        found.append(VersionResult(version=version, answer=answer, suites=listed))
    return tuple(found)


def not_asked(why: str) -> tuple[VersionResult, ...]:
    """Return results that say for every version why nobody asked."""
    return tuple(VersionResult(version=v, answer=NotAsked(why=why)) for v in TlsVersion)


async def _ask_version(ask: Ask, version: TlsVersion) -> VersionAnswer:
    if (why := why_not_tried(version)) is not None:
        return NotAsked(why=why)
    return _answer(await ask(PinnedContexts(version), version))


async def _ask_suites(ask: Ask, version: TlsVersion, most: int) -> tuple[Suites, int]:
    remaining = list(known_suites(version))
    of, chosen, complete = len(remaining), [], False
    used = 0
    while used < most:
        used += 1
        answer = _answer(await ask(PinnedContexts(version, remaining), version))
        if not isinstance(answer, Accepted) or answer.cipher not in remaining:
            complete = not isinstance(answer, NotAsked)
            break
        chosen.append(answer.cipher)
        remaining.remove(answer.cipher)
    return Suites(names=tuple(chosen), of=of, complete=complete), used


def _answer(session: Session) -> VersionAnswer:
    if session.evidence is None:
        return NotAsked(why="the host could not be reached again")
    match session.evidence.handshake:
        case HandshakeDone(cipher=cipher):
            return Accepted(cipher=cipher)
        case HandshakeFailed(detail=detail):
            return Declined(detail=detail)
        case NotTried():
            return NotAsked(why="the host did not come to a handshake this time")
        case _:
            assert_never(session.evidence.handshake)
