"""Email relays, and the domain filters that lead mail to them, as Salesforce has both.

Sources: Salesforce Object Reference, EmailRelay and EmailDomainFilter; Knowledge 000386476.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, unique
from types import MappingProxyType
from typing import Final

from relay.core.addresses import EVERY_DOMAIN, Domain, DomainPattern
from relay.core.destinations import Destination
from relay.core.places import Place
from relay.core.settings import TlsSetting
from relay.core.tls_policy import RuleOrigin, TlsPolicy, TlsRule

RELAY_PORTS: Final = (25, 587, 10025, 11025)
"""The ports that Salesforce offers for an email relay."""


@unique
class AuthMechanism(Enum):
    """How to log in at a relay: the two mechanisms that Salesforce has (SASL names)."""

    PLAIN = "PLAIN"
    """RFC 4616."""
    LOGIN = "LOGIN"


class Secret:
    """A text that shows itself to those alone who ask for it by `reveal`.

    It has no JSON form: `to_json` raises TypeError rather than write it down.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "Secret([hidden])"

    def __str__(self) -> str:
        return "[hidden]"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not to be stored")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What to log in with; neither text has a NUL, which would part them (RFC 4616 section 2)."""

    mechanism: AuthMechanism = AuthMechanism.PLAIN
    username: str
    password: Secret

    def __post_init__(self) -> None:
        if "\0" in self.username + self.password.reveal():
            raise ValueError("credentials can not have a NUL")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRelay:
    """A host that mail goes through instead of the recipient's own.

    `tls` holds for it, whatever the recipient's domain is. ValueError: credentials under another
    setting than Required Verify (EmailRelay.IsRequireAuth).
    """

    name: str
    to: Destination
    tls: TlsPolicy
    place: Place
    credentials: Credentials | None = None

    def __post_init__(self) -> None:
        if self.credentials is not None and self.tls.setting is not TlsSetting.REQUIRED_VERIFY:
            raise ValueError("a relay is logged in to under Required Verify alone")

    @property
    def rule(self) -> TlsRule:
        """The relay's own setting, as an entry that holds for every domain."""
        return TlsRule(
            pattern=EVERY_DOMAIN,
            policy=self.tls,
            origin=RuleOrigin.EMAIL_RELAY,
            place=self.place,
            email_relay=self.name,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainFilter:
    """Which mail goes to a relay: by the sender's domain and the recipient's; no pattern is any.

    The filter with the lowest `priority` comes first.
    """

    relay: str
    senders: tuple[DomainPattern, ...] = ()
    recipients: tuple[DomainPattern, ...] = ()
    priority: int
    active: bool = True
    place: Place

    @property
    def takes_everything(self) -> bool:
        """Whether all mail matches, notifications included."""
        to_any = not self.recipients or EVERY_DOMAIN in self.recipients
        return self.active and not self.senders and to_any

    def matches(self, recipient: Domain, sender: Domain | None) -> bool:
        """Whether mail to `recipient` matches; `sender` is None for the null reverse path.

        The null reverse path has no domain, so that no pattern stands for it.
        """
        if not self.active:
            return False
        from_one = not self.senders or (
            sender is not None and any(pattern.matches(sender) for pattern in self.senders)
        )
        to_one = not self.recipients or any(p.matches(recipient) for p in self.recipients)
        return from_one and to_one

    def __str__(self) -> str:
        senders = ", ".join(map(str, self.senders)) or "anyone"
        recipients = ", ".join(map(str, self.recipients)) or "anyone"
        return f"domain filter {self.priority} (from {senders} to {recipients})"


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailRelays:
    """A policy's relays by name, and its filters in the order of their priorities.

    ValueError: a filter names a relay that is not there, or two have one priority.
    """

    relays: Mapping[str, EmailRelay] = field(default_factory=lambda: MappingProxyType({}))
    filters: Sequence[DomainFilter] = ()

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.filters, key=lambda entry: entry.priority))
        if len({entry.priority for entry in ordered}) < len(ordered):
            raise ValueError("two domain filters have one priority")
        if any(entry.relay not in self.relays for entry in ordered):
            raise ValueError("a domain filter names a relay that is not there")
        object.__setattr__(self, "filters", ordered)

    def match(self, recipient: Domain, sender: Domain | None) -> DomainFilter | None:
        """Return the first filter that matches; None where mail is delivered directly."""
        return next((f for f in self.filters if f.matches(recipient, sender)), None)

    @property
    def carries_everything(self) -> EmailRelay | None:
        """The relay that all mail goes through, whoever it is from and to; None without one."""
        reached: set[str] = set()
        for entry in self.filters:
            if entry.active:
                reached.add(entry.relay)
            if entry.takes_everything:
                return self.relays[entry.relay] if reached == {entry.relay} else None
        return None

    def inert(self) -> tuple[EmailRelay, ...]:
        """Return the relays that no active filter names: nothing ever goes to them."""
        used = {entry.relay for entry in self.filters if entry.active}
        return tuple(relay for name, relay in self.relays.items() if name not in used)
