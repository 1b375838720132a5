"""From what the engine tells to what people are told.

    bounced, attempted ──> bounded queue ──> occasion ──> its key's window ──> outboxes of channels
    (event loop, at once)                    (one task: reads the journal, closes what is due)

A mail about a notice is no occasion: whatever has the null reverse path and goes to the address
that notices go to is passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from relay.core.addresses import Address, Domain, parse_address
from relay.core.clock import Clock
from relay.core.codebook import CodeBook
from relay.core.faults import TlsFault
from relay.core.notices import (
    Bounced,
    FirstTlsFailure,
    Notice,
    NoticeKey,
    Occasion,
    StoppedVerifying,
    Window,
    close,
    collapse,
    first_notice,
    tls_trouble,
)
from relay.core.records import Attempt, Bounce, BounceAction, Envelope, Session
from relay.core.tls_history import TlsNews, TlsPast, TlsResult, past_of, tls_news, tls_result
from relay.journal.api import JournalError
from relay.notice.channel import Channel, Outbox

log = logging.getLogger("relay.notice")

KEPT: Final = 10_000
"""Observations that wait to be looked at, at most."""
LOOK_BACK: Final = 1000
"""Messages to a domain whose attempts count as its past."""
_LOGGED_EACH: Final = 1000
DOMAINS: Final = 10_000
"""Domains with a TLS failure whose past is kept in memory; of others it is read again."""
WINDOWS: Final = 10_000
"""Windows that are open at the same time, at most; the oldest closes early for another one."""


@dataclass(frozen=True, slots=True)
class _Tried:
    attempt: Attempt
    faults: tuple[TlsFault, ...]


class Notifier:
    """An observer of the engine that tells people through channels, while `run` runs.

    `history` returns a domain's attempts of its newest so many messages, oldest first, and may
    raise JournalError. `own` is the address that notices are mailed to.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        *,
        history: Callable[[str, int], tuple[Attempt, ...]],
        codes: Callable[[], CodeBook],
        clock: Clock,
        window: timedelta,
        own: Address | None = None,
        kept: int = KEPT,
    ) -> None:
        self._outboxes = tuple(Outbox(channel) for channel in channels)
        self._history = history
        self._codes = codes
        self._clock = clock
        self._window = window
        self._own = None if own is None else str(own)
        self._waiting: deque[Bounce | _Tried] = deque()
        self._kept = kept
        self._missed = 0
        self._changed = asyncio.Event()
        self._finishing = False
        self._past: OrderedDict[Domain, TlsPast] = OrderedDict()
        self._windows: dict[NoticeKey, Window] = {}

    def accepted(self, envelope: Envelope) -> None:
        """Do nothing."""

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Take note of what a try showed of a domain's TLS."""
        shows = tls_result(attempt) not in {None, TlsResult.ENCRYPTED}
        if shows and not self._is_own(envelope.reverse_path, envelope.recipients):
            self._observe(_Tried(attempt, session.faults if session else ()))

    def bounced(self, bounce: Bounce) -> None:
        """Take note of a message that was given up."""
        final = bounce.action is BounceAction.FAILED
        if final and not self._is_own(bounce.reverse_path, (bounce.recipient,)):
            self._observe(bounce)

    def finish(self) -> None:
        """Let `run` return when all is told, windows that are still open included."""
        self._finishing = True
        self._changed.set()

    async def run(self) -> None:
        """Tell people until `finish`; cancelled, it logs how much was not told."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for outbox in self._outboxes:
                    tasks.create_task(outbox.run())
                await self._watch()
                for outbox in self._outboxes:
                    outbox.finish()
        finally:
            unsent = sum(outbox.unsent for outbox in self._outboxes)
            if unsent:
                log.warning("notices not sent: %d", unsent)
            if self._waiting or self._windows:
                log.warning(
                    "no notice was made of %d events and %d open windows",
                    len(self._waiting),
                    len(self._windows),
                )

    def _is_own(self, reverse_path: str, recipients: tuple[str, ...]) -> bool:
        return not reverse_path and recipients == (self._own,)

    def _observe(self, event: Bounce | _Tried) -> None:
        if len(self._waiting) >= self._kept:
            self._waiting.popleft()
            self._missed += 1
            if self._missed % _LOGGED_EACH == 1:
                log.warning("notices are behind: %d events are dropped so far", self._missed)
        self._waiting.append(event)
        self._changed.set()

    async def _watch(self) -> None:
        while True:
            self._changed.clear()
            while self._waiting:
                await self._guarded(self._waiting.popleft())
            finishing = self._finishing
            next_close = self._close_windows(all_of_them=finishing)
            if finishing:
                return
            await self._rest(next_close)

    async def _guarded(self, event: Bounce | _Tried) -> None:
        """Look at one event; an error of ours costs a notice, never the relay."""
        try:
            occasion = await self._occasion(event)
            if occasion is not None:
                self._take(first_notice(occasion))
        except Exception:
            log.exception("a notice is lost to an error in the relay itself")

    async def _occasion(self, event: Bounce | _Tried) -> Occasion | None:
        match event:
            case Bounce():
                return Bounced(bounce=event)
            case _Tried(attempt=attempt, faults=faults):
                return await self._tls_occasion(attempt, faults)
            case _:
                assert_never(event)

    async def _tls_occasion(
        self, attempt: Attempt, faults: tuple[TlsFault, ...]
    ) -> Occasion | None:
        domain = parse_address(attempt.outcomes[0].recipient).domain
        past = await self._past_before(attempt, domain)
        if past is None:
            return None
        news = tls_news(past, attempt)
        self._remember(domain, past.after(attempt))
        if news is None:
            return None
        trouble = tls_trouble(attempt, faults, book=self._codes())
        match news:
            case TlsNews.FIRST_FAILURE:
                return FirstTlsFailure(domain=domain, trouble=trouble)
            case TlsNews.STOPPED_VERIFYING:
                assert past.verified_at is not None
                return StoppedVerifying(
                    domain=domain, verified_at=past.verified_at, trouble=trouble
                )
            case _:
                assert_never(news)

    async def _past_before(self, attempt: Attempt, domain: Domain) -> TlsPast | None:
        """Return a domain's past; None where it isn't needed, or can't be read.

        Only of a domain that fails the past matters, and only then is the journal asked.
        """
        known = self._past.get(domain)
        if known is not None or tls_result(attempt) is TlsResult.VERIFIED:
            return known
        try:
            attempts = await asyncio.to_thread(self._history, domain, LOOK_BACK)
        except JournalError as error:
            log.error("the past of %s can't be read, so nobody is told: %s", domain, error)
            return None
        ids = [a.id for a in attempts]
        before = attempts[: ids.index(attempt.id)] if attempt.id in ids else attempts
        return past_of(before)

    def _remember(self, domain: Domain, past: TlsPast) -> None:
        self._past[domain] = past
        self._past.move_to_end(domain)
        if len(self._past) > DOMAINS:
            self._past.popitem(last=False)

    def _take(self, notice: Notice) -> None:
        window, tell = collapse(self._windows.get(notice.key), notice, now=self._clock.now())
        assert window is not None
        self._windows[notice.key] = window
        self._tell(tell)
        if len(self._windows) > WINDOWS:
            _, summary = close(self._windows.pop(next(iter(self._windows))), now=self._clock.now())
            self._tell(summary)

    def _close_windows(self, *, all_of_them: bool) -> datetime | None:
        """Close what is due, or everything; return when the next window is due."""
        now = self._clock.now()
        for key, window in list(self._windows.items()):
            if all_of_them or window.opened_at + self._window <= now:
                following, tell = close(window, now=now)
                self._tell(tell)
                if following is None or all_of_them:
                    del self._windows[key]
                else:
                    self._windows[key] = following
        opened = [window.opened_at for window in self._windows.values()]
        return min(opened) + self._window if opened else None

    def _tell(self, notice: Notice | None) -> None:
        if notice is not None:
            for outbox in self._outboxes:
                outbox.offer(notice)

    async def _rest(self, until: datetime | None) -> None:
        """Wait until a window is due or something happens."""
        if until is None:
            await self._changed.wait()
            return
        async with asyncio.TaskGroup() as waiting:
            sleeper = waiting.create_task(self._clock.sleep_until(until))
            waker = waiting.create_task(self._changed.wait())
            await asyncio.wait({sleeper, waker}, return_when=asyncio.FIRST_COMPLETED)
            sleeper.cancel()
            waker.cancel()
