"""Fault scripts: when a receiver of the lab leaves its scenario's ways, and what it does instead.

A script belongs to one scenario. At each phase of a session its rules are asked in their order, and
the first one that applies and fires decides; without one the receiver does as its scenario says. A
rule counts the occasions that come to it: those of its phase, its recipients and its time that no
rule above it took.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, unique
from typing import Final, Literal, assert_never

from relay.core.addresses import EVERY_DOMAIN, DomainPattern, parse_address
from relay.core.places import Place
from relay.core.replies import Reply

MAX_DELAY: Final = timedelta(hours=1)
"""How long a rule may delay an answer."""


@unique
class FaultPhase(Enum):
    """Where in a session a rule may act, in the order of a session."""

    GREETING = "greeting"
    EHLO = "ehlo"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    """Once the client's first TLS message is read."""
    AUTH = "auth"
    """Once the credentials are read."""
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    CONTENT = "content"
    """Once the message's last line is read."""

    @property
    def knows_recipients(self) -> bool:
        """Whether a session in this phase has heard of a recipient."""
        return self in _WITH_RECIPIENTS


_WITH_RECIPIENTS: Final = frozenset({FaultPhase.RCPT, FaultPhase.DATA, FaultPhase.CONTENT})


@dataclass(frozen=True, slots=True, kw_only=True)
class Always:
    """On every occasion."""

    kind: Literal["always"] = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextN:
    """On the next `count` occasions, at least one, and never after them."""

    kind: Literal["next-n"] = "next-n"
    count: int

    def __post_init__(self) -> None:
        _at_least_one(self.count)


@dataclass(frozen=True, slots=True, kw_only=True)
class EveryNth:
    """On each `nth` occasion: with 5 on the fifth, the tenth and so on."""

    kind: Literal["every-nth"] = "every-nth"
    nth: int

    def __post_init__(self) -> None:
        _at_least_one(self.nth)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """On each occasion with this probability, above 0 and up to 1."""

    kind: Literal["chance"] = "chance"
    probability: float

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1:
            raise ValueError(f"a probability is above 0 and up to 1, not {self.probability}")


When = Always | NextN | EveryNth | Chance


def _at_least_one(number: int) -> None:
    if number < 1:
        raise ValueError(f"occasions count from 1, not {number}")


@unique
class Interference(Enum):
    """What a receiver does in place of an answer."""

    DROP = "drop"
    """Close the connection."""
    RESET = "reset"
    """Break the connection by a TCP reset."""
    SILENCE = "silence"
    """Answer nothing, now or later, until the client leaves."""
    GARBAGE = "garbage"
    """Send octets that are no SMTP reply, or no TLS record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """Wait before the scenario's own answer; above zero, `MAX_DELAY` at most."""

    kind: Literal["delay"] = "delay"
    by: timedelta

    def __post_init__(self) -> None:
        if not timedelta(0) < self.by <= MAX_DELAY:
            raise ValueError(f"a delay is above 0 and up to {MAX_DELAY}, not {self.by}")


FaultAnswer = Reply | Interference | Delay
"""What a rule does. A reply is a refusal (4xx, 5xx); after 421 the receiver closes (RFC 5321 3.8).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecipientPattern:
    """Recipients whose local part is like `local`, in any case, at one of the domains.

    In `local` a `*` stands for any characters, none included.
    """

    local: str = "*"
    domain: DomainPattern = EVERY_DOMAIN

    @classmethod
    def parse(cls, text: str) -> RecipientPattern:
        """Read `local`, `local@domain` or `@domain`, each with `*`; raise ValueError."""
        if not text.strip():
            raise ValueError("a pattern of recipients is empty")
        local, at, domain = text.strip().rpartition("@")
        if not at:
            local, domain = domain, "*"
        pattern = cls(local=local or "*", domain=DomainPattern.parse(domain))
        try:
            parse_address(f"{pattern.local.replace('*', 'x')}@example.com")
        except ValueError as error:
            raise ValueError(f"{text!r} is not a pattern of recipients: {error}") from None
        return pattern

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    def matches(self, recipient: str) -> bool:
        """Whether a well-formed address is one of these recipients."""
        address = parse_address(recipient)
        like = ".*".join(re.escape(part) for part in self.local.split("*"))
        local_fits = re.fullmatch(like, address.local, re.IGNORECASE | re.DOTALL) is not None
        return local_fits and self.domain.matches(address.domain)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One rule of a script.

    `recipients` is None for any session, and only for phases that know recipients something else;
    it applies where one of them is among a message's. `after` is the time since the script was
    loaded or reset from which on the rule applies. Raises ValueError for what can't be: recipients
    too early, a reply in a handshake or one that refuses nothing.
    """

    phase: FaultPhase
    answer: FaultAnswer
    when: When = Always()
    recipients: RecipientPattern | None = None
    after: timedelta = timedelta(0)
    place: Place | None = None

    def __post_init__(self) -> None:
        if self.recipients is not None and not self.phase.knows_recipients:
            raise ValueError(f"no recipient is known in the phase {self.phase.value}")
        if isinstance(self.answer, Reply):
            if self.phase is FaultPhase.HANDSHAKE:
                raise ValueError("a TLS handshake has no SMTP replies")
            if not 400 <= self.answer.code <= 599:
                raise ValueError(f"a fault's reply has a code 4xx or 5xx, not {self.answer.code}")

    def applies(self, phase: FaultPhase, recipients: Sequence[str], *, elapsed: timedelta) -> bool:
        """Whether this is an occasion for the rule, `elapsed` after loading or reset."""
        if phase is not self.phase or elapsed < self.after:
            return False
        pattern = self.recipients
        return pattern is None or any(pattern.matches(recipient) for recipient in recipients)

    def fires(self, occasion: int, *, draw: float) -> bool:
        """Whether the rule acts on an occasion, counted from 1; `draw` is from 0 up to 1."""
        match self.when:
            case Always():
                return True
            case NextN(count=count):
                return occasion <= count
            case EveryNth(nth=nth):
                return occasion % nth == 0
            case Chance(probability=probability):
                return draw < probability
            case _:
                assert_never(self.when)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultScript:
    """What goes wrong at one scenario's receiver, beside what its scenario does.

    `seed` decides all chance in it: the same seed and the same occasions in the same order give the
    same decisions.
    """

    scenario: str
    seed: int
    rules: tuple[FaultRule, ...]
    place: Place | None = None
