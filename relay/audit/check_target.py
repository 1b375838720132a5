"""What a user may name to be checked: a domain, a host, or a receiver of the lab."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

from relay.core.addresses import Domain, parse_domain
from relay.core.destinations import SMTP_PORT, Destination, ToHost, ToMxOrHost, ToScenario
from relay.core.routing import LAB_DOMAIN
from relay.core.settings import TlsMode
from relay.lab.catalogue import RECEIVER_OF_HOST, find_scenario

SMTPS_PORT: Final = 465
"""The port of implicit TLS (RFC 8314 section 7.3)."""
_LAB_PREFIX: Final = "lab/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One thing to check: `text` as the user named it, `to` where that is.

    `domain` is whose mail goes there: the domain itself, or else the host's name, or its address
    as a literal (RFC 5321 section 4.1.3). `name` is what the host is to be called, where that is
    not what was connected to.
    """

    text: str
    to: Destination
    domain: Domain
    name: Domain | None = None

    @property
    def in_lab(self) -> bool:
        """Whether a receiver of the lab is meant."""
        return isinstance(self.to, ToScenario)


def parse_target(text: str, *, implicit: bool = False, name: str | None = None) -> Target:
    """Read DOMAIN, HOST:PORT, ADDRESS, [ADDRESS]:PORT, lab/NAME or NAME.lab.test.

    A domain stands for its MX records, and for the host of that name where it has none. With
    `implicit`, or at port 465, TLS begins with the first octet; a domain is then a host. `name` is
    asked for, and must be in the certificate, in place of the host's. Raises ValueError with a
    sentence, UnknownScenario for a name that the lab doesn't have.
    """
    text = text.strip()
    if (scenario := _scenario(text)) is not None:
        find_scenario(scenario)
        if name is not None:
            raise ValueError(f"{text!r} is of the lab, whose hosts have names: give HOST:PORT")
        domain = parse_domain(f"{scenario}.{LAB_DOMAIN}")
        return Target(text=text, to=ToScenario(scenario=scenario), domain=domain)
    host, port = _host_and_port(text)
    literal = _address(host)
    known = None if literal else parse_domain(host)
    called = None if name is None else parse_domain(name)
    domain = known or called or Domain(f"[{'IPv6:' if ':' in host else ''}{literal}]")
    if known is not None and port is None and not implicit:
        if called is not None:
            raise ValueError(f"{text!r} is a domain, whose hosts have names: give HOST:PORT")
        return Target(text=text, to=ToMxOrHost(domain=known), domain=domain)
    if port is None:
        port = SMTPS_PORT if implicit else SMTP_PORT
    mode = TlsMode.IMPLICIT if implicit or port == SMTPS_PORT else TlsMode.STARTTLS
    to = ToHost(host=str(known or literal), port=port, mode=mode)
    return Target(text=text, to=to, domain=domain, name=called)


def _scenario(text: str) -> str | None:
    if text.startswith(_LAB_PREFIX):
        return text.removeprefix(_LAB_PREFIX)
    name = text.lower().removesuffix(".")
    if name in RECEIVER_OF_HOST:
        return RECEIVER_OF_HOST[name]
    first, _, zone = name.partition(".")
    return first if zone == LAB_DOMAIN else None


def _host_and_port(text: str) -> tuple[str, int | None]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not of the form [ADDRESS]:PORT")
        host = host.removeprefix("IPv6:")
        if _address(host) is None:
            raise ValueError(f"{host!r} is not an address")
        return host, _port(rest[1:]) if rest else None
    if text.count(":") == 1:
        host, _, port = text.partition(":")
        return host, _port(port)
    return text, None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise ValueError(f"{text!r} is not a port; one is a number from 1 to 65535")
    return int(text)


def _address(host: str) -> str | None:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return None
