"""Mail addresses, domains and the domain patterns of a policy.

A policy's wildcard and a certificate's wildcard are different things. `DomainPattern` is the
policy's: `*.example.com` stands for sub-domains of any depth and never for `example.com` itself
(Salesforce's "Restrict TLS to these domains", Postfix's parent-domain matching). A certificate's
wildcard replaces exactly one label (RFC 9525 section 6.3) and lives with the chain examination.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

import idna

Domain = NewType("Domain", str)
"""A domain as A-labels, lower case, without a trailing dot; made by `parse_domain` alone."""

_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
# atext and qtext with RFC 6531's UTF-8, as what they leave out: a set of characters up to U+10FFFF
# takes `re` milliseconds to compile.
_ATEXT: Final = r'[^\x00-\x20"(),.:;<>@\[\\\]\x7f]'
_DOT_STRING: Final = re.compile(rf"{_ATEXT}+(?:\.{_ATEXT}+)*")
_QUOTED_STRING: Final = re.compile(r'"(?:[^\x00-\x1f"\\\x7f]|\\[\x20-\x7e])*"')
_ADDRESS_LITERAL: Final = re.compile(r"\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[0-9A-Fa-f:.]+)\]")

MAX_LOCAL_PART: Final = 64
"""Octets, RFC 5321 section 4.5.3.1.1."""
MAX_DOMAIN: Final = 255
"""Octets, RFC 5321 section 4.5.3.1.2."""
_REMEMBERED: Final = 4096
"""Texts whose reading is kept: a message's addresses are read again wherever it passes."""


def parse_domain(text: str) -> Domain:
    """Return `text` as A-labels in lower case, without the trailing dot.

    Raises ValueError with a sentence that says what is wrong.
    """
    return _domain(text)


@lru_cache(_REMEMBERED)
def _domain(text: str) -> Domain:
    name = text.strip().removesuffix(".")
    if not name:
        raise ValueError("a domain name is empty")
    if not name.isascii():
        try:
            name = idna.encode(name, uts46=True).decode("ascii")
        except idna.IDNAError as error:
            raise ValueError(f"{text!r} is not a valid international domain name") from error
    name = name.lower()
    if len(name) > MAX_DOMAIN:
        raise ValueError(f"the domain name is longer than {MAX_DOMAIN} octets")
    for label in name.split("."):
        if not _LABEL.fullmatch(label):
            raise ValueError(f"{text!r} is not a domain name: {label!r} is not a valid label")
    return Domain(name)


@dataclass(frozen=True, slots=True)
class Address:
    """A mailbox of RFC 5321 section 4.1.2 (with RFC 6531's UTF-8): local part and domain.

    The local part is kept as written, quotes included; only the domain is normalised.
    """

    local: str
    domain: Domain

    def __str__(self) -> str:
        return f"{self.local}@{self.domain}"

    @property
    def needs_smtputf8(self) -> bool:
        """Whether the local part has characters outside ASCII (RFC 6531 section 3.2)."""
        return not self.local.isascii()


def parse_address(text: str) -> Address:
    """Read a mailbox strictly by RFC 5321's grammar; raise ValueError with the reason.

    Strict because both SMTP libraries are not: one accepts blanks and NUL inside an address, the
    other rewrites what it can't parse.
    """
    return _address(text)


@lru_cache(_REMEMBERED)
def _address(text: str) -> Address:
    at = text.rfind("@")
    if at <= 0:
        raise ValueError("an address has the form local-part@domain")
    local, domain = text[:at], text[at + 1 :]
    if not (_DOT_STRING.fullmatch(local) or _QUOTED_STRING.fullmatch(local)):
        raise ValueError("the local part has characters that RFC 5321 does not allow there")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise ValueError(f"the local part is longer than {MAX_LOCAL_PART} octets")
    if _ADDRESS_LITERAL.fullmatch(domain):
        return Address(local, Domain(domain))
    if domain != domain.strip() or domain.endswith("."):
        raise ValueError("the domain ends in a dot or has blanks around it")
    return Address(local, parse_domain(domain))


def domain_of(path: str) -> Domain | None:
    """Return the domain of a reverse path, None for the null one; ValueError for no address."""
    return parse_address(path).domain if path else None


@dataclass(frozen=True, slots=True, order=True)
class DomainPattern:
    """A policy's pattern: `example.com`, `*.example.com` (sub-domains of any depth) or `*`.

    `suffix` is None for `*` alone.
    """

    suffix: Domain | None
    wildcard: bool

    @classmethod
    def parse(cls, text: str) -> DomainPattern:
        """Read a pattern as users write it; raise ValueError with the reason."""
        pattern = text.strip()
        if pattern == "*":
            return EVERY_DOMAIN
        if "@" in pattern:
            raise ValueError(f"{text!r} is an address; a pattern is a domain such as example.com")
        wildcard = pattern.startswith("*.")
        rest = pattern[2:] if wildcard else pattern
        if "*" in rest:
            raise ValueError(f"{text!r}: a '*' may stand only alone or as the first label ('*.')")
        return cls(suffix=parse_domain(rest), wildcard=wildcard)

    def __str__(self) -> str:
        if self.suffix is None:
            return "*"
        return f"*.{self.suffix}" if self.wildcard else self.suffix

    def matches(self, domain: Domain) -> bool:
        """Whether `domain` is one of those that this pattern stands for."""
        if self.suffix is None:
            return True
        return domain.endswith(f".{self.suffix}") if self.wildcard else domain == self.suffix

    def covers(self, other: DomainPattern) -> bool:
        """Whether every domain that `other` stands for is one that this pattern stands for."""
        if self.suffix is None or self == other:
            return True
        if other.suffix is None or not self.wildcard:
            return False
        if other.wildcard and other.suffix == self.suffix:
            return True
        return other.suffix.endswith(f".{self.suffix}")

    @property
    def specificity(self) -> tuple[int, int]:
        """Sorts the most specific pattern last: exact names over wildcards, longer over shorter."""
        labels = 0 if self.suffix is None else self.suffix.count(".") + 1
        return (0 if self.wildcard or self.suffix is None else 1, labels)


EVERY_DOMAIN: Final = DomainPattern(suffix=None, wildcard=True)
"""The pattern `*`."""


def candidate_patterns(domain: Domain) -> tuple[DomainPattern, ...]:
    """Every pattern that matches `domain`, the most specific first.

    A table keyed by pattern is therefore searched in one look-up for each label.
    """
    parents: list[DomainPattern] = []
    rest = domain.partition(".")[2]
    while rest:
        parents.append(DomainPattern(suffix=Domain(rest), wildcard=True))
        rest = rest.partition(".")[2]
    return (DomainPattern(suffix=domain, wildcard=False), *parents, EVERY_DOMAIN)


def covering_patterns(pattern: DomainPattern) -> tuple[DomainPattern, ...]:
    """Every other pattern that covers `pattern`, the most specific first."""
    return () if pattern.suffix is None else candidate_patterns(pattern.suffix)[1:]
