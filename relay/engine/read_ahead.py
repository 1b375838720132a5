"""What is due and waits for a hand, as far as it was read or came in: a bounded part of the queue.

All of the queue is in the journal. Without this part of it in memory, each message that ends would
have the journal asked what is next, and each message would be read from there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

from relay.core.addresses import Domain
from relay.journal.api import NewMessage

LOOK_AHEAD: Final = 1000
"""Queued recipients read in one go; and of what comes in, how many wait in memory."""
KEPT_OCTETS: Final = 16 * 1024 * 1024
"""Octets kept of messages that came in just now; the others are read again from the journal."""


@dataclass(slots=True)
class Waiting:
    """A message that waits: its size, and for whom, given with their domains."""

    octets: int
    recipients: dict[str, Domain] = field(default_factory=dict)


class ReadAhead:
    """Messages that wait, in the order in which they are due: for which recipients, and where."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._domains: Counter[Domain] = Counter()
        self._fresh: dict[str, NewMessage] = {}
        self._octets = 0
        self._recipients = 0

    def __len__(self) -> int:
        """Count the recipients."""
        return self._recipients

    def __contains__(self, message_id: str) -> bool:
        """Whether a message waits."""
        return message_id in self._waiting

    def __iter__(self) -> Iterator[str]:
        """Go through the messages' ids, the longest overdue first."""
        return iter(tuple(self._waiting))

    @property
    def domains(self) -> Collection[Domain]:
        """The domains that mail waits for."""
        return self._domains.keys()

    def waiting(self, message_id: str) -> Waiting:
        """Return what is known of a message that waits."""
        return self._waiting[message_id]

    def add(self, message_id: str, recipient: str, domain: Domain, *, octets: int) -> None:
        """Let a message of so many octets wait for this recipient too."""
        self._waiting.setdefault(message_id, Waiting(octets)).recipients[recipient] = domain
        self._domains[domain] += 1
        self._recipients += 1

    def keep(self, message: NewMessage) -> None:
        """Remember a message that came in just now, if there is room."""
        room = len(self._fresh) < LOOK_AHEAD
        if room and self._octets + len(message.content) <= KEPT_OCTETS:
            self._fresh[message.envelope.id] = message
            self._octets += len(message.content)

    def drop(self, message_id: str) -> NewMessage | None:
        """Let a message wait no more; return it where it is remembered."""
        waiting = self._waiting.pop(message_id).recipients
        self._recipients -= len(waiting)
        for domain in waiting.values():
            self._domains[domain] -= 1
            if not self._domains[domain]:
                del self._domains[domain]
        message = self._fresh.pop(message_id, None)
        if message is not None:
            self._octets -= len(message.content)
        return message

    def clear(self) -> None:
        """Forget everything: the journal has it."""
        self._waiting.clear()
        self._domains.clear()
        self._fresh.clear()
        self._octets = 0
        self._recipients = 0
