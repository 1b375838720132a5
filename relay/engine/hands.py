"""How much may be in hand at a time: messages and their octets, in all and to one domain."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from relay.core.addresses import Domain

AT_ONCE: Final = 100
"""Messages in hand at the same time."""
PER_DOMAIN: Final = 20
"""Messages to one domain in hand at the same time."""
OCTETS: Final = 256 * 1024 * 1024
"""With so many octets in hand, no further message is taken up."""
OCTETS_PER_DOMAIN: Final = 64 * 1024 * 1024
"""With so many octets in hand to one domain, no further message to it is taken up."""


class Hands:
    """Which messages are in hand, and to which domains they go."""

    def __init__(self) -> None:
        self._messages: dict[str, tuple[frozenset[Domain], int]] = {}
        self._octets = 0
        self._busy: Counter[Domain] = Counter()
        self._octets_to: Counter[Domain] = Counter()

    def __contains__(self, message_id: str) -> bool:
        """Whether a message is in hand."""
        return message_id in self._messages

    @property
    def messages(self) -> frozenset[str]:
        """The ids of the messages in hand."""
        return frozenset(self._messages)

    @property
    def full(self) -> bool:
        """Whether there is no hand for another message."""
        return len(self._messages) >= AT_ONCE or self._octets >= OCTETS

    @property
    def crowded(self) -> frozenset[Domain]:
        """The domains that have all the hands that one may have."""
        return frozenset(domain for domain in self._busy if self._is_crowded(domain))

    def free_for(self, domain: Domain) -> bool:
        """Whether there is a hand for another message to this domain."""
        return not (self.full or self._is_crowded(domain))

    def take(self, message_id: str, recipients: Mapping[str, Domain], *, octets: int) -> None:
        """Take a message up for these recipients, given with their domains."""
        domains = frozenset(recipients.values())
        self._messages[message_id] = (domains, octets)
        self._octets += octets
        for domain in domains:
            self._busy[domain] += 1
            self._octets_to[domain] += octets

    def release(self, message_id: str) -> None:
        """Free the hand that a message was in."""
        domains, octets = self._messages.pop(message_id)
        self._octets -= octets
        for domain in domains:
            self._busy[domain] -= 1
            self._octets_to[domain] -= octets
            if not self._busy[domain]:
                del self._busy[domain], self._octets_to[domain]

    def _is_crowded(self, domain: Domain) -> bool:
        return self._busy[domain] >= PER_DOMAIN or self._octets_to[domain] >= OCTETS_PER_DOMAIN
