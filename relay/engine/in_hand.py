"""A message that is being worked on, and where it comes to rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from relay.core.content import ContentFacts
from relay.core.records import Attempt, Envelope
from relay.core.steps import Tried, Wait
from relay.engine.settling import Settled
from relay.journal.api import NewMessage


@dataclass(slots=True, kw_only=True)
class InHand:
    """A message being worked on: those of its recipients that are, and all attempts so far.

    `client_waits` for the outcome, and is told it. `hurried`: no waiting for later tries. `facts`
    are of the content, None where nobody has looked for them.
    `attempts` are added to by `add` alone.
    """

    envelope: Envelope
    content: bytes
    recipients: tuple[str, ...]
    client_waits: bool = False
    hurried: bool = False
    attempts: list[Attempt] = field(default_factory=list)
    facts: ContentFacts | None = None
    _histories: dict[str, list[Tried]] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        for attempt in self.attempts:
            self._remember(attempt)

    def add(self, attempt: Attempt) -> None:
        """Add an attempt that was made now."""
        self.attempts.append(attempt)
        self._remember(attempt)

    def history(self, recipient: str) -> Sequence[Tried]:
        """Return a recipient's tries, oldest first."""
        return self._histories.get(recipient, ())

    def _remember(self, attempt: Attempt) -> None:
        # Each attempt is gone through once, however many recipients ask for their history.
        for recipient, tried in attempt.tries():
            self._histories.setdefault(recipient, []).append(tried)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rested:
    """A message at rest: where each recipient is, and the notifications that are queued now."""

    steps: dict[str, Settled]
    notifications: tuple[NewMessage, ...]

    @property
    def next_at(self) -> datetime | None:
        """When the first of its recipients is due again; None where none is."""
        waits = [step.until for step in self.steps.values() if isinstance(step, Wait)]
        return min(waits, default=None)
