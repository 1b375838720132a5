"""What a scenario of the lab is: the card that describes one way in which SMTP TLS breaks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique

from relay.core.advisories import AdvisoryKind
from relay.core.faults import FaultKind
from relay.core.outcomes import Stage
from relay.core.settings import TlsMode


@unique
class Family(Enum):
    """Which part of a session a scenario is about."""

    HONEST = "honest"
    STARTTLS = "starttls"
    HANDSHAKE = "handshake"
    CERTIFICATE = "certificate"
    SMTP = "smtp"
    DNS = "dns"


@unique
class ScenarioClass(Enum):
    """How a scenario is meant."""

    HONEST = "honest"
    """Everything is right; the message arrives."""
    FAULT = "fault"
    """Something is wrong, and at least one setting refuses it."""
    ADVISORY = "advisory"
    """Delivered under every setting, but worth a report."""


@unique
class ReachedBy(Enum):
    """What clients connect to, and therefore what they want to find in the certificate."""

    NAME = "name"
    ADDRESS = "address"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One scenario's card.

    `summary` is one sentence; `in_the_wild` tells where people meet it; `faults` are those that a
    verifying examination must find, in report order; `advisories` are those that a session under
    TLS brings, in report order; `recipe` names the certificate recipe under `certs/`, None for a
    receiver without TLS and for a scenario without a receiver of its own; `remedy` says what the
    host's administrator does. `host_name` is set where the host is not called `mx.NAME.lab.test`.
    """

    name: str
    family: Family
    scenario_class: ScenarioClass
    summary: str
    in_the_wild: str
    stage: Stage | None
    faults: tuple[FaultKind, ...]
    recipe: str | None
    remedy: str
    mode: TlsMode = TlsMode.STARTTLS
    reached_by: ReachedBy = ReachedBy.NAME
    host_name: str | None = None
    advisories: tuple[AdvisoryKind, ...] = ()

    @property
    def mail_domain(self) -> str:
        """The domain whose mail reaches this scenario: `anyone@NAME.lab.test`."""
        return f"{self.name}.lab.test"

    @property
    def host(self) -> str:
        """The host name that an honest certificate of this receiver bears."""
        return self.host_name or f"mx.{self.mail_domain}"
