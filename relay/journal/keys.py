"""Texts as columns hold them and as they are searched by."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from relay.core.addresses import parse_address, parse_domain

_REMEMBERED: Final = 1024
"""Domains whose key is not worked out again."""


def storable(text: str) -> str:
    """Return a text as a column can hold it: lone surrogates, which UTF-8 has no form for, as '?'.

    Records keep them; only what is searched by loses them.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def domain_of(address: str) -> str:
    """Return an address's domain as it is searched by."""
    domain = address.rpartition("@")[2]
    if domain.startswith("["):
        # An address literal keeps its case where the local part is one.
        try:
            return parse_address(address).domain
        except ValueError:
            pass
    return domain_key(domain)


@lru_cache(maxsize=_REMEMBERED)
def domain_key(text: str) -> str:
    """Return a domain as it is searched by: in A-labels where it is one, else in lower case."""
    try:
        return parse_domain(text)
    except ValueError:
        return storable(text).lower()
