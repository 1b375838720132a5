"""Which destinations a report is about: out of messages on record, of logs, of lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import Enum, unique

from relay.audit.what_if import Asked
from relay.core.addresses import Domain, domain_of, parse_address
from relay.core.delivery import Policy
from relay.formats.destination_list import Listed
from relay.journal.api import MessageRecord

_Key = tuple[Domain, str | None, Domain | None]


@unique
class By(Enum):
    """What a row of a report is."""

    DOMAIN = "domain"
    RECIPIENT = "recipient"


@dataclass(slots=True, kw_only=True)
class Asking:
    """Collects destinations, each once, and counts their messages.

    `only`, where it isn't empty, are the destinations that count; they are asked about whatever the
    record says. `by_sender`: a policy decides by the sender's domain, so that rows have one;
    `sender` is that of destinations that come without any.
    """

    by: By
    only: tuple[Listed, ...] = ()
    by_sender: bool = False
    sender: Domain | None = None
    _messages: Counter[_Key] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        for each in self.only:
            self._messages[each.domain, each.recipient, self._own_sender] = 0

    @property
    def _own_sender(self) -> Domain | None:
        return self.sender if self.by_sender else None

    def add_message(self, record: MessageRecord) -> None:
        """Count a message on record for each of its recipients; notifications are nobody's."""
        if record.envelope.notification_for is not None:
            return
        sender = domain_of(record.envelope.reverse_path) if self.by_sender else None
        seen: set[_Key] = set()
        for recipient in record.envelope.recipients:
            seen.update(self._keys(parse_address(recipient).domain, recipient, sender))
        self._messages.update(seen)

    def add(self, listed: Listed, *, messages: int = 0) -> None:
        """Ask about a destination of a list or a log."""
        for key in self._keys(listed.domain, listed.recipient, self._own_sender):
            self._messages[key] += messages

    def _keys(self, domain: Domain, recipient: str | None, sender: Domain | None) -> Iterator[_Key]:
        if not self.only:
            yield domain, recipient if self.by is By.RECIPIENT else None, sender
            return
        for each in self.only:
            if each.domain != domain or each.recipient not in {None, recipient}:
                continue
            by_recipient = self.by is By.RECIPIENT or each.recipient is not None
            yield domain, recipient if by_recipient else None, sender

    def __iter__(self) -> Iterator[Asked]:
        """Yield what is asked about; a domain that was only named gives way to its messages."""
        with_sender = {(d, r) for (d, r, _), count in self._messages.items() if count}
        broken_down = {d for d, r, _ in self._messages if r is not None}
        for (domain, recipient, sender), count in self._messages.items():
            if not count and (domain, recipient) in with_sender:
                continue
            if not count and recipient is None and domain in broken_down:
                continue
            yield Asked(domain=domain, recipient=recipient, sender=sender, messages=count)


def looks_at_senders(policies: Iterable[Policy]) -> bool:
    """Whether any of the policies decides by the sender's domain."""
    filters = (f for policy in policies for f in policy.routing.email_relays.filters)
    return any(entry.active and entry.senders for entry in filters)
