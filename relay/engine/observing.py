"""What the engine tells those who watch it: a log, a page, a test."""

from __future__ import annotations

import time
from typing import Protocol

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.api import Batch, JournalWriter


class Observer(Protocol):
    """Is called in the event loop after the record is durable; must be quick and must not raise."""

    def accepted(self, envelope: Envelope) -> None:
        """Hear that a message was taken into the journal."""

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Hear that a try ended."""

    def bounced(self, bounce: Bounce) -> None:
        """Hear that a recipient's failure was recorded."""


class WriteObserver(Protocol):
    """Is called in the event loop after each batch is durable; must be quick and must not raise."""

    def written(self, batch: Batch, seconds: float) -> None:
        """Hear what was written, and how long that took."""


class Observers:
    """Several observers as one, told in their order."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def accepted(self, envelope: Envelope) -> None:
        """Tell everyone."""
        for observer in self._observers:
            observer.accepted(envelope)

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Tell everyone."""
        for observer in self._observers:
            observer.attempted(envelope, attempt, session)

    def bounced(self, bounce: Bounce) -> None:
        """Tell everyone."""
        for observer in self._observers:
            observer.bounced(bounce)


def observers(first: Observer, *others: Observer) -> Observer:
    """Return an observer that tells all of these."""
    return Observers(first, *others) if others else first


class Unobserved:
    """The observer that does nothing."""

    def accepted(self, envelope: Envelope) -> None:
        """Do nothing."""

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        """Do nothing."""

    def bounced(self, bounce: Bounce) -> None:
        """Do nothing."""


class ObservedWriter:
    """A journal's writer that tells an observer of every batch."""

    def __init__(self, writer: JournalWriter, observer: WriteObserver) -> None:
        self._writer = writer
        self._observer = observer

    async def write(self, batch: Batch) -> None:
        """Write as the writer itself does, then tell."""
        began = time.perf_counter()
        await self._writer.write(batch)
        self._observer.written(batch, time.perf_counter() - began)

    async def check(self) -> None:
        """Check as the writer itself does."""
        await self._writer.check()

    async def close(self) -> None:
        """Close the writer."""
        await self._writer.close()
