"""The values that a policy file can have, read from what YAML gives: one function for each kind.

Each takes a value as YAML has it and returns one of the core's, or raises `FileValueError` (or the
core's own ValueError) with a sentence that says what is wrong and what is allowed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final, TypeVar

from relay.config.problems import did_you_mean
from relay.core.addresses import Domain, DomainPattern, parse_address, parse_domain
from relay.core.codebook import CodeEntry
from relay.core.destinations import (
    SMTP_PORT,
    RoutedTo,
    ToCapture,
    ToHost,
    ToMailDomain,
    ToRecipientDomain,
    ToScenario,
)
from relay.core.email_relays import Secret
from relay.core.routing import NameServer
from relay.core.settings import TlsMode, TlsSetting, TlsVersion

T = TypeVar("T")

DEFAULT_PORTS: Final[Mapping[TlsMode, int]] = {TlsMode.STARTTLS: 25, TlsMode.IMPLICIT: 465}
"""The port of a host that is written without one: SMTP, and submission over TLS (RFC 8314)."""
LONGEST: Final = timedelta(days=365)
"""The longest duration that a policy may have."""
MAX_REPLY_LINE: Final = 510
"""Octets of a reply line without its line end (RFC 5321 section 4.5.3.1.5)."""
MAX_SECRET: Final = 255
"""Octets of a user's name or password (RFC 4616 section 2 wants that much taken)."""

_DURATION: Final = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)\s*(ms|s|m|h|d)?")
_UNITS: Final = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_SCHEMES: Final = {"smtp": TlsMode.STARTTLS, "smtps": TlsMode.IMPLICIT}
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCENARIO: Final = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_HOST_FORMS: Final = (
    "allowed: lab/SCENARIO, capture, host, host:port, [IPv6]:port, smtp://host:port, "
    "smtps://host:port"
)
_WHERE_FORMS: Final = f"{_HOST_FORMS}, mx, mx:domain, mx:domain:port"
_MX: Final = re.compile(r"mx(?::(?P<domain>[^:]*?))??(?::(?P<port>\d+))?", re.IGNORECASE)


class FileValueError(ValueError):
    """A value that can't stand; `hint` says what was probably meant."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


def describe(value: object) -> str:
    """Return a value as a message names it."""
    match value:
        case None:
            return "an empty value"
        case bool():
            return str(value).lower()
        case list():
            return "a list"
        case dict():
            return "a mapping"
        case _:
            return repr(value)


def read_text(value: object, what: str) -> str:
    """Return `value` if it is a text, else say that it is not `what`."""
    if not isinstance(value, str):
        raise FileValueError(f"{describe(value)} is not {what}")
    return value


def read_choice(
    value: object, options: Mapping[str, T], what: str, *, otherwise: str | None = None
) -> T:
    """Return the option that `value` names; capitals do not matter.

    `otherwise` is said of what the key takes besides.
    """
    if isinstance(value, str) and value.strip().lower() in options:
        return options[value.strip().lower()]
    allowed = [*options, otherwise] if otherwise else options
    raise FileValueError(
        f"{describe(value)} is not {what}; allowed: {', '.join(allowed)}",
        hint=did_you_mean(value, options) if isinstance(value, str) else None,
    )


def read_setting(value: object) -> TlsSetting:
    """Read a TLS setting in the spelling of Salesforce's Setup page, its API, or in kebab case."""
    if isinstance(value, str):
        try:
            return TlsSetting.parse(value)
        except ValueError as error:
            labels = [setting.label for setting in TlsSetting]
            raise FileValueError(str(error), hint=did_you_mean(value, labels)) from None
    allowed = ", ".join(setting.label for setting in TlsSetting)
    raise FileValueError(
        f"{describe(value)} is not a TLS setting; allowed: {allowed}",
        hint="did you mean 'Off'?" if value is False else None,
    )


def read_version(value: object) -> TlsVersion:
    """Read a TLS version: 1.2 as a number or a text, or OpenSSL's 'TLSv1.2'."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:.1f}" if round(value, 1) == value else repr(value)
    if isinstance(value, str):
        wanted = value.strip().lower().removeprefix("tls").strip().removeprefix("v")
        for version in TlsVersion:
            if version.value == wanted:
                return version
    allowed = ", ".join(version.value for version in TlsVersion)
    raise FileValueError(f"{describe(value)} is not a TLS version; allowed: {allowed}")


def read_pattern(value: object) -> DomainPattern:
    """Read a domain pattern: `example.com`, `*.example.com` or `*`."""
    return DomainPattern.parse(read_text(value, "a domain or a pattern such as '*.example.com'"))


def read_domain(value: object) -> Domain:
    """Read a domain name."""
    return parse_domain(read_text(value, "a domain name"))


def read_address(value: object) -> str:
    """Read a mail address, and return it as it is written."""
    text = read_text(value, "a mail address")
    try:
        parse_address(text)
    except ValueError as error:
        raise FileValueError(f"{text!r} is not a mail address: {error}") from None
    return text


def read_flag(value: object) -> bool:
    """Read true or false; YAML 1.1's yes, no, on and off are texts here."""
    if isinstance(value, bool):
        return value
    hints = {"yes": True, "on": True, "no": False, "off": False, "true": True, "false": False}
    meant = hints.get(value.strip().lower()) if isinstance(value, str) else None
    raise FileValueError(
        f"{describe(value)} is neither true nor false",
        hint=None if meant is None else f"write {str(meant).lower()} without quotes",
    )


def read_port(value: object) -> int:
    """Read a TCP port."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise FileValueError(f"{describe(value)} is not a port; allowed: 1 to 65535")


def read_attempts(value: object) -> int:
    """Read how many tries a message gets."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100:
        return value
    raise FileValueError(f"{describe(value)} is not a number of attempts; allowed: 1 to 100")


def read_factor(value: object) -> float:
    """Read what each delay is multiplied by to give the next one."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1 <= value <= 100:
        return float(value)
    raise FileValueError(f"{describe(value)} is not a factor; allowed: 1 to 100")


def read_time_scale(value: object) -> float:
    """Read by how many times faster than real time a retry schedule is played."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 1e-3 <= value <= 1e6:
        return float(value)
    raise FileValueError(
        f"{describe(value)} is not a time scale; allowed: 0.001 to 1000000, "
        "such as 1440 for a day within a minute"
    )


def read_duration(value: object) -> timedelta:
    """Read a duration such as '25s', '5m' or '24h', or a number of seconds."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit, number = "s", float(value)
    elif isinstance(value, str) and (found := _DURATION.fullmatch(value.strip().lower())):
        unit, number = found[2] or "s", float(found[1])
    else:
        raise FileValueError(
            f"{describe(value)} is not a duration; allowed: a number of seconds, or a number with "
            "ms, s, m, h or d, such as 25s or 24h"
        )
    seconds = number * _UNITS[unit].total_seconds()
    # Compared as a number first: a timedelta can't hold every number that YAML can.
    if seconds > LONGEST.total_seconds():
        raise FileValueError(f"{describe(value)} is too long; allowed: up to {LONGEST.days}d")
    duration = timedelta(seconds=max(seconds, 0.0))
    if not duration:
        raise FileValueError(f"{describe(value)} is too short; a duration is more than 0")
    return duration


def read_host(text: str) -> str:
    """Read a host's name or numeric address, IPv6 without brackets."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    if text.rpartition(".")[2].isdigit():
        raise FileValueError(f"{text!r} is not an IPv4 address")
    try:
        return parse_domain(text)
    except ValueError:
        raise FileValueError(f"{text!r} is not a host; {_HOST_FORMS}") from None


def read_host_name(value: object) -> str:
    """Read the `host` of a destination that is written as a mapping: no port, no scheme."""
    text = read_text(value, "a host name or address").strip()
    if text.startswith("lab/") or text == "capture":
        raise FileValueError(f"{text!r} is not a host", hint=f"write {text} instead of the mapping")
    return read_host(text.removeprefix("[").removesuffix("]"))


def read_listed_host(value: object) -> str | ToScenario | ToCapture:
    """Read the `host` of one of several: a name or address, or a receiver of the lab."""
    if isinstance(value, str) and (value.startswith("lab/") or value == "capture"):
        return _read_receiver(value)
    return read_host_name(value)


def read_listed(value: object) -> ToHost | ToScenario | ToCapture:
    """Read one of several destinations that is written as a text: not a mail domain."""
    text = read_text(value, f"a host; {_HOST_FORMS}").strip()
    if _MX.fullmatch(text):
        raise FileValueError(
            f"{text!r} can't be one of several", hint="its MX records name several hosts already"
        )
    return _read_one(text, _HOST_FORMS)


def read_destination(value: object) -> RoutedTo:
    """Read where mail goes: a lab scenario, capture, a host with port and scheme, or MX records.

    Default ports are those of `DEFAULT_PORTS`. The grammar is RFC 3986's authority without a
    user.
    """
    text = read_text(value, f"a destination; {_WHERE_FORMS}").strip()
    if found := _MX.fullmatch(text):
        port = SMTP_PORT if found["port"] is None else _port_text(found["port"])
        if found["domain"] is None:
            return ToRecipientDomain(port=port)
        return ToMailDomain(domain=_read_mail_domain(found["domain"]), port=port)
    return _read_one(text, _WHERE_FORMS)


def _read_mail_domain(text: str) -> Domain:
    if text.rpartition(".")[2].isdigit():
        raise FileValueError(f"{text!r} is an address; MX records belong to a domain")
    return parse_domain(text)


def _read_receiver(text: str) -> ToScenario | ToCapture:
    if text.lower() == "capture":
        return ToCapture()
    name = text.removeprefix("lab/")
    if not _SCENARIO.fullmatch(name):
        raise FileValueError(f"{text!r} does not name a scenario, as lab/expired does")
    return ToScenario(scenario=name)


def _read_one(text: str, forms: str) -> ToHost | ToScenario | ToCapture:
    if text.lower() == "capture" or text.startswith("lab/"):
        return _read_receiver(text)
    scheme, separator, authority = text.partition("://")
    if not separator:
        scheme, authority = "smtp", text
    mode = _SCHEMES.get(scheme.lower())
    if mode is None:
        raise FileValueError(
            f"{scheme!r} is not a scheme; allowed: {', '.join(_SCHEMES)}",
            hint=did_you_mean(scheme, _SCHEMES),
        )
    if any(c in authority for c in "/@?#") or any(c.isspace() for c in authority):
        raise FileValueError(f"{text!r} is not a destination; {forms}")
    host, port = _split_port(authority)
    return ToHost(host=host, port=DEFAULT_PORTS[mode] if port is None else port, mode=mode)


def _split_port(authority: str) -> tuple[str, int | None]:
    if authority.startswith("["):
        host, closed, rest = authority[1:].partition("]")
        try:
            address = str(ipaddress.IPv6Address(host))
        except ValueError:
            raise FileValueError(f"{host!r} is not an IPv6 address") from None
        if not closed or (rest and not rest.startswith(":")):
            raise FileValueError(f"{authority!r} is not a host; {_HOST_FORMS}")
        return address, _port_text(rest[1:]) if rest else None
    if authority.count(":") > 1:
        raise FileValueError(
            f"{authority!r} is not a host", hint="put an IPv6 address in brackets, as in [::1]:25"
        )
    host, colon, port = authority.partition(":")
    return read_host(host), _port_text(port) if colon else None


def _port_text(text: str) -> int:
    return read_port(int(text) if text.isascii() and text.isdigit() and len(text) < 6 else text)


def read_name_server(value: object) -> NameServer:
    """Read a name server: a numeric address, with a port where it is not 53."""
    text = read_text(value, "a name server's address, such as 127.0.0.1:5353").strip()
    host, port = _split_port(text)
    try:
        address = str(ipaddress.ip_address(host))
    except ValueError:
        raise FileValueError(
            f"{host!r} is not an address; a name server's own name can't be looked up"
        ) from None
    return NameServer(address=address) if port is None else NameServer(address=address, port=port)


def read_preference(value: object) -> int:
    """Read a preference as MX records have it (RFC 1035 section 3.3.9)."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 65535:
        return value
    raise FileValueError(f"{describe(value)} is not a preference; allowed: 0 to 65535")


def read_code_line(value: object) -> CodeEntry:
    """Read a code book's entry such as '451 4.7.4 TLS is required'; a failure's class is 4 or 5."""
    text = read_text(value, "a code with its text, such as '451 4.7.5 TLS negotiation failed'")
    entry = CodeEntry.parse(text)
    if entry.status.code < 400:
        raise FileValueError(f"{str(entry.status)!r} is no failure; allowed: codes 4xx and 5xx")
    if len(str(entry)) > MAX_REPLY_LINE:
        raise FileValueError(f"the line is longer than {MAX_REPLY_LINE} octets")
    return entry


def is_address(host: str) -> bool:
    """Whether a host is written as a numeric address."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def read_relay_name(value: object) -> str:
    """Read the name by which domain filters know an email relay."""
    text = read_text(value, "a name").strip()
    if not text or not text.isprintable() or len(text) > 80:
        raise FileValueError(f"{text!r} is not a name; allowed: up to 80 printable characters")
    return text


def read_priority(value: object) -> int:
    """Read the priority of a domain filter; the lowest comes first."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 999_999:
        return value
    raise FileValueError(f"{describe(value)} is not a priority; allowed: 1 to 999999")


def read_user_name(value: object) -> str:
    """Read the name to log in with."""
    text = read_text(value, "a user's name")
    if not text or not text.isprintable() or len(text.encode()) > MAX_SECRET:
        raise FileValueError(
            f"{text!r} is not a user's name; allowed: up to {MAX_SECRET} printable octets"
        )
    return text


def read_variable_name(value: object) -> str:
    """Read the name of an environment variable."""
    text = read_text(value, "the name of an environment variable")
    if not _VARIABLE.fullmatch(text):
        # Somebody may have written the password itself here.
        raise FileValueError(
            "this is not the name of an environment variable; allowed: letters, digits and _"
        )
    return text


def read_password(value: object) -> Secret:
    """Read a password; no message repeats it."""
    if not isinstance(value, str):
        raise FileValueError("a password is a text", hint="put it in quotes")
    if not value or not value.isprintable() or len(value.encode()) > MAX_SECRET:
        raise FileValueError(f"a password has 1 to {MAX_SECRET} octets, all of them printable")
    return Secret(value)
