"""The two SASL mechanisms of the listeners, as far as they are text: PLAIN and LOGIN."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

MECHANISMS: Final = ("PLAIN", "LOGIN")
"""In the order of EHLO; LOGIN is a draft that never became an RFC and that clients still use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """A user and a password as a client gave them."""

    user: str
    password: str = field(repr=False)


def decode(line: str) -> bytes | None:
    """Return a client's response without base64; `=` stands for an empty one (RFC 4954)."""
    if line == "=":
        return b""
    try:
        return base64.b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        return None


def challenge(text: str) -> str:
    """Return a server's challenge in base64."""
    return base64.b64encode(text.encode()).decode()


def plain_login(response: bytes) -> Login | None:
    """Read PLAIN's `[authzid] NUL user NUL password` (RFC 4616); None for anything else.

    To act for another user than oneself is not offered: such an authzid is refused.
    """
    parts = response.split(b"\0")
    if len(parts) != 3 or (parts[0] and parts[0] != parts[1]):
        return None
    return login(parts[1], parts[2])


def login(user: bytes, password: bytes) -> Login | None:
    """Return user and password as text, neither empty; None if they are not UTF-8."""
    try:
        found = Login(user=user.decode("utf-8"), password=password.decode("utf-8"))
    except UnicodeDecodeError:
        return None
    return found if found.user and found.password else None
