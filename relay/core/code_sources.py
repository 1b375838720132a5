"""Where what is known of a code or a text comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from types import MappingProxyType
from typing import TypeVar

_K = TypeVar("_K", int, str)


@unique
class Source(Enum):
    """A document, or a program whose texts were measured; the value is its citation."""

    RFC_3207 = "RFC 3207"
    RFC_3463 = "RFC 3463"
    RFC_4954 = "RFC 4954"
    RFC_5321 = "RFC 5321"
    RFC_6710 = "RFC 6710"
    RFC_7293 = "RFC 7293"
    RFC_7372 = "RFC 7372"
    RFC_7504 = "RFC 7504"
    RFC_7505 = "RFC 7505"
    RFC_8460 = "RFC 8460"
    RFC_8617 = "RFC 8617"
    RFC_8689 = "RFC 8689"
    RFC_6531 = "RFC 6531"
    IANA = "IANA, SMTP Enhanced Status Codes"
    SALESFORCE_NDR = "Salesforce Knowledge 000385123"
    SALESFORCE_RELAY = "Salesforce Knowledge 000388924"
    SALESFORCE_LOG = "Salesforce Knowledge 000206241"
    PARDOT = "Salesforce Help, Common Bounce Codes (Account Engagement)"
    MOMENTUM = "Momentum documentation, message responses"
    EXCHANGE = "Microsoft, NDR error codes in Exchange Online"
    POSTFIX = "Postfix 3.7, measured"
    POSTFIX_SOURCE = "Postfix, source"
    EXIM = "Exim 4.96, measured"
    KUMOMTA = "KumoMTA, source"
    HARAKA = "Haraka, source"
    SENDGRID = "SendGrid's wording"
    SYMANTEC = "Symantec Messaging Gateway's wording"
    GMAIL = "Gmail's wording"
    OPENSSL = "OpenSSL 3, measured"
    COMMON_WORDING = "the wording of many hosts"
    RELAY = "this relay's own text"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means, in our own words, and who says so."""

    text: str
    source: Source


def by_source(groups: Mapping[Source, Mapping[_K, str]]) -> Mapping[_K, Meaning]:
    """Return one sorted table of tables by source; ValueError when two of them have one key."""
    found: dict[_K, Meaning] = {}
    for source, texts in groups.items():
        for key, text in texts.items():
            if key in found:
                raise ValueError(f"{key} has two meanings")
            found[key] = Meaning(text, source)
    return MappingProxyType(dict(sorted(found.items(), key=_order)))


def _order(item: tuple[_K, Meaning]) -> tuple[int, ...]:
    return tuple(int(part) for part in str(item[0]).split("."))
