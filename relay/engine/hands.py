"""How much may be in hand at a time: messages in all, and to one domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from relay.core.addresses import Domain

AT_ONCE: Final = 100
"""Messages in hand at the same time."""
PER_DOMAIN: Final = 20
"""Messages to one domain in hand at the same time."""


class Hands:
    """Which messages are in hand, and to which domains they go."""

    def __init__(self) -> None:
        self._messages: dict[str, frozenset[Domain]] = {}
        self._busy: Counter[Domain] = Counter()

    @property
    def messages(self) -> frozenset[str]:
        """The ids of the messages in hand."""
        return frozenset(self._messages)

    @property
    def full(self) -> bool:
        """Whether there is no hand for another message."""
        return len(self._messages) >= AT_ONCE

    @property
    def crowded(self) -> frozenset[Domain]:
        """The domains that have all the hands that one may have."""
        return frozenset(domain for domain, count in self._busy.items() if count >= PER_DOMAIN)

    def free_for(self, domain: Domain) -> bool:
        """Whether there is a hand for another message to this domain."""
        return len(self._messages) < AT_ONCE and self._busy[domain] < PER_DOMAIN

    def take(self, message_id: str, recipients: Mapping[str, Domain]) -> None:
        """Take a message up for these recipients, given with their domains."""
        domains = frozenset(recipients.values())
        self._messages[message_id] = domains
        self._busy.update(domains)

    def release(self, message_id: str) -> frozenset[Domain]:
        """Free the hand that a message was in; return the domains that it went to."""
        domains = self._messages.pop(message_id)
        for domain in domains:
            if self._busy[domain] > 1:
                self._busy[domain] -= 1
            else:
                del self._busy[domain]
        return domains
