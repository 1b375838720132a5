"""Whose sessions those are that bear no mark, how many tries they make, and whether all is quiet.

A refused try bears no mark, and a receiver that the public can reach has other visitors. A session
without a mark counts as the sender's where somebody came from the same address, or under a name of
the same domain, and brought a marked message.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from relay.audit.shown import Marked, bears, verb_of
from relay.core.transcripts import Direction
from relay.lab.received import ReceivedSession

ATTEMPTS: Final = 3
"""Tries that must be seen where there is no final outcome: Postfix goes in clear on a later one."""
APART: Final = timedelta(seconds=0.5)
"""Sessions less than this apart are one try: a sender falls back in a second session at once."""
LINGER: Final = timedelta(seconds=2)
"""What a sender that goes on at once in clear text gets for it, after the last try that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Where marked messages of a run came from: addresses, and domains of names in EHLO."""

    addresses: frozenset[str]
    domains: frozenset[str]

    @classmethod
    def of(cls, bearing: Sequence[ReceivedSession]) -> Origins:
        """Gather them from the sessions that bear a mark of the run."""
        return cls(
            addresses=frozenset(_address(session) for session in bearing),
            domains=frozenset(name for session in bearing for name in _domains(session)),
        )

    def has(self, session: ReceivedSession) -> bool:
        """Whether a session is from one of them."""
        return _address(session) in self.addresses or not self.domains.isdisjoint(_domains(session))


def is_from_sender(marked: Marked, session: ReceivedSession, origins: Origins) -> bool:
    """Whether a session is the sender's: it bears the mark, or comes from where marks came from."""
    return bears(marked, session) or origins.has(session)


def count_attempts(sessions: Sequence[ReceivedSession]) -> int:
    """Count the tries that these sessions are; an open one is part of a try that has begun."""
    count, last = 0, datetime.min.replace(tzinfo=UTC)
    for session in sorted(sessions, key=lambda s: s.started_at):
        if _is_attempt(session):
            count += session.started_at - last >= APART
            last = max(last, session.ended_at or session.started_at)
    return count


def is_quiet(
    sessions: Iterable[ReceivedSession], until: datetime, linger: timedelta = LINGER
) -> bool:
    """Whether nothing came in the time `linger` before `until`."""
    return all(_last_sign(session) + linger <= until for session in sessions)


def _last_sign(session: ReceivedSession) -> datetime:
    """Return when a session ended; of an open one, when the last line came."""
    lines = session.transcript
    return session.ended_at or (lines[-1].at if lines else session.started_at)


def _is_attempt(session: ReceivedSession) -> bool:
    greeted = any(
        line.direction is Direction.SENT and line.text.startswith("220")
        for line in session.transcript
    )
    # Whoever connects and says nothing has asked for nothing, unless nobody greeted it.
    return bool(session.octets_received) or not greeted


def _address(session: ReceivedSession) -> str:
    return session.peer.rpartition(":")[0]


def _domains(session: ReceivedSession) -> frozenset[str]:
    """Return the domains that the client's names in EHLO are hosts of."""
    names = {
        line.text.partition(" ")[2].strip().lower().rstrip(".")
        for line in session.transcript
        if verb_of(line) in {"EHLO", "HELO"}
    }
    parents = {name.partition(".")[2] for name in names if not name.startswith("[")}
    return frozenset(parent for parent in parents if "." in parent)
