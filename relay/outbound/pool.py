"""Sessions that stand idle between two messages, for those that may share one.

Who may is said by the key: the same host under the same policy, with the trust that was loaded for
it, the same name to verify, the same login. A session is found by the whole key or not at all, so
that none is ever used under a policy that it was not opened under; and it is judged again for every
message all the same.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TypeAlias

from relay.core.addresses import Domain
from relay.core.email_relays import Credentials
from relay.core.routing import Hop
from relay.core.tls_policy import TlsPolicy
from relay.outbound.session import OutboundSession
from relay.tls.contexts import ClientContexts


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolKey:
    """Everything that decides on a session.

    `contexts` are compared by identity: a policy that is loaded again, with whatever its files hold
    by then, shares no session with the one before. `name` is the recipient's domain where the
    certificate may bear that.
    """

    hop: Hop
    policy: TlsPolicy
    contexts: ClientContexts = field(repr=False)
    name: Domain | None
    credentials: Credentials | None

    @classmethod
    def of(
        cls,
        hop: Hop,
        policy: TlsPolicy,
        contexts: ClientContexts,
        *,
        recipient_domain: Domain,
        credentials: Credentials | None,
    ) -> PoolKey:
        """Return the key for a message to `recipient_domain`."""
        return cls(
            hop=hop,
            policy=policy,
            contexts=contexts,
            name=recipient_domain if policy.names.recipient_domain else None,
            credentials=credentials,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """How many messages a session carries, how old it gets, and how long it waits for the next.

    `idle` is shorter than any host's patience should be (RFC 5321 section 4.5.3.2.7: 5 minutes).
    """

    messages: int = 500
    age: timedelta = timedelta(minutes=5)
    idle: timedelta = timedelta(seconds=5)


_Host: TypeAlias = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Idle:
    session: OutboundSession
    key: PoolKey
    until: float


class SessionPool:
    """Keeps idle sessions; times are those of the event loop. To be closed at the end."""

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self._limits = limits or PoolLimits()
        # By host, since to compare keys costs less than their hashes do: most often the parts of
        # two are the same objects.
        self._idle: defaultdict[_Host, list[_Idle]] = defaultdict(list)
        self._closing: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._idle.values()))

    def take(self, key: PoolKey) -> OutboundSession | None:
        """Return the session that was used last, out of those that can be trusted; else None."""
        waiting = self._idle.get(_host(key.hop), ())
        now = asyncio.get_running_loop().time()
        for idle in reversed(waiting):
            if idle.key is not key and idle.key != key:
                continue
            if idle.until > now and idle.session.usable:
                self._forget(idle)
                return idle.session
            self._remove(idle)
        return None

    def put(self, key: PoolKey, session: OutboundSession) -> None:
        """Keep a session that is ready for another message, or close it where it has had its day.

        Whoever puts it has the record of the last message already.
        """
        now = asyncio.get_running_loop().time()
        ends = session.opened_at + self._limits.age.total_seconds()
        if session.carried >= self._limits.messages or now >= ends or not session.usable:
            self.discard(session)
            return
        until = min(now + self._limits.idle.total_seconds(), ends)
        self._idle[_host(key.hop)].append(_Idle(session=session, key=key, until=until))
        if self._timer is None:
            self._wake_at(until)

    def make_room(self, hop: Hop, *, in_all: int, per_host: int) -> None:
        """Close those that wait longest, until so many are left in all and with this host."""
        with_host = self._idle.get(_host(hop), [])
        for idle in _longest(with_host, len(with_host) - per_host):
            self._remove(idle)
        everything = list(self._all())
        for idle in _longest(everything, len(everything) - in_all):
            self._remove(idle)

    def retire(self) -> None:
        """Say farewell in all idle sessions; returns at once."""
        for idle in list(self._all()):
            self._remove(idle)

    async def close(self) -> None:
        """Say farewell in all idle sessions, and return when every connection is closed."""
        self.retire()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._closing:
            await asyncio.wait(self._closing)

    def _all(self) -> Iterator[_Idle]:
        for waiting in self._idle.values():
            yield from waiting

    def _remove(self, idle: _Idle) -> None:
        self._forget(idle)
        self.discard(idle.session)

    def _forget(self, idle: _Idle) -> None:
        host = _host(idle.key.hop)
        waiting = self._idle[host]
        waiting.remove(idle)
        if not waiting:
            del self._idle[host]

    def discard(self, session: OutboundSession) -> None:
        """Say farewell in a session that was taken; returns at once."""
        task = asyncio.get_running_loop().create_task(session.close(), name="farewell")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _wake_at(self, when: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(when, self._sweep)

    def _sweep(self) -> None:
        """Close what has waited too long, and come back when the next one will have."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        for idle in list(self._all()):
            if idle.until <= now or not idle.session.usable:
                self._remove(idle)
        if self._idle:
            self._wake_at(min(idle.until for idle in self._all()))


def _host(hop: Hop) -> _Host:
    return hop.address, hop.port


def _longest(waiting: list[_Idle], count: int) -> list[_Idle]:
    return sorted(waiting, key=lambda idle: idle.until)[: max(count, 0)]
