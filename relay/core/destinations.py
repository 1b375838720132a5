"""Where mail can go: the destinations that a policy names, before anything is looked up.

Destination
├── ToScenario      a receiver of the lab
├── ToCapture       the built-in receiver
├── ToHost          one host, by name or address
├── ToHosts         several of these, with preferences
├── ToMailDomain    the mail exchangers of a domain, from its MX records
├── ToMxOrHost      these, or the host of that name where the domain has none
└── ToNowhere       nobody: what goes there is dropped
ToRecipientDomain   in a policy only: stands for the mail exchangers of whatever domain it is
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, assert_never

from relay.core.addresses import Domain
from relay.core.settings import TlsMode

SMTP_PORT: Final = 25
"""The port of mail exchangers: MX records name none (RFC 5321 section 4.5.4.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToScenario:
    """A receiver of the lab, by its scenario's name."""

    kind: Literal["lab"] = "lab"
    scenario: str

    def __str__(self) -> str:
        return f"lab/{self.scenario}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToHost:
    """A host by name or address."""

    kind: Literal["host"] = "host"
    host: str
    port: int = SMTP_PORT
    mode: TlsMode = TlsMode.STARTTLS

    def __str__(self) -> str:
        scheme = "smtps://" if self.mode is TlsMode.IMPLICIT else "smtp://"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{scheme}{host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToCapture:
    """The built-in receiver that keeps everything, with honest TLS."""

    kind: Literal["capture"] = "capture"

    def __str__(self) -> str:
        return "capture"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreferredHost:
    """One of several hosts; a lower `preference` comes first, as with MX records."""

    to: ToHost | ToScenario | ToCapture
    preference: int

    def __str__(self) -> str:
        return f"{self.to} ({self.preference})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToHosts:
    """Several hosts, tried by preference; equal ones in an order that chance decides."""

    kind: Literal["hosts"] = "hosts"
    hosts: tuple[PreferredHost, ...]

    def __str__(self) -> str:
        return ", ".join(str(host) for host in self.hosts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToMailDomain:
    """The mail exchangers of a domain (RFC 5321 section 5.1)."""

    kind: Literal["mail-domain"] = "mail-domain"
    domain: Domain
    port: int = SMTP_PORT

    def __str__(self) -> str:
        return f"mx:{self.domain}" + ("" if self.port == SMTP_PORT else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToMxOrHost:
    """A name that may be a mail domain or a host: its MX records come first, then its addresses.

    That is what the host of a Salesforce email relay means.
    """

    kind: Literal["mx-or-host"] = "mx-or-host"
    domain: Domain
    port: int = SMTP_PORT

    def __str__(self) -> str:
        return f"mx-or-host:{self.domain}" + ("" if self.port == SMTP_PORT else f":{self.port}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToNowhere:
    """No host at all: what goes here is dropped, and reads as sent."""

    kind: Literal["nowhere"] = "nowhere"

    def __str__(self) -> str:
        return "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToRecipientDomain:
    """The mail exchangers of each recipient's own domain."""

    kind: Literal["recipient-domain"] = "recipient-domain"
    port: int = SMTP_PORT

    def __str__(self) -> str:
        return "mx" if self.port == SMTP_PORT else f"mx:{self.port}"

    def of(self, domain: Domain) -> ToMailDomain | ToHost:
        """Return where mail for `domain` goes: an address literal names the host itself."""
        if domain.startswith("["):
            address = domain[1:-1]
            return ToHost(host=address.removeprefix("IPv6:"), port=self.port)
        return ToMailDomain(domain=domain, port=self.port)


Destination = ToScenario | ToHost | ToCapture | ToHosts | ToMailDomain | ToMxOrHost | ToNowhere
"""What a resolver is asked for."""
RoutedTo = Destination | ToRecipientDomain
"""What a policy can name."""


def tls_modes(to: Destination) -> frozenset[TlsMode]:
    """Return the ways of starting TLS among the hosts of a destination."""
    match to:
        case ToHost(mode=mode):
            return frozenset({mode})
        case ToHosts(hosts=hosts):
            return frozenset(mode for host in hosts for mode in tls_modes(host.to))
        case ToScenario() | ToCapture() | ToMailDomain() | ToMxOrHost() | ToNowhere():
            return frozenset({TlsMode.STARTTLS})
        case _:
            assert_never(to)
