"""Who may log in: users and passwords from a file, or anybody.

A file has one user on a line, `user:password`; the password may be written as
`scrypt$N$r$p$SALT$HASH` instead, salt and hash in base64 (RFC 7914; the hash has 32 octets).
Blank lines and lines that begin with `#` are skipped; blanks around a line are not part of it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from relay.core.places import Place

_PREFIX: Final = "scrypt$"
_HASH_OCTETS: Final = 32
_MAX_MEMORY: Final = 128 * 1024 * 1024


class CredentialsError(ValueError):
    """A credentials file that can't be used: `problems` are all of them, each with its place."""

    def __init__(self, problems: tuple[tuple[Place, str], ...]) -> None:
        super().__init__("\n".join(f"{place}: {problem}" for place, problem in problems))
        self.problems = problems


@dataclass(frozen=True, slots=True, kw_only=True)
class ScryptHash:
    """A password as scrypt leaves it: cost `n`, block size `r`, parallelism `p` (RFC 7914)."""

    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    @classmethod
    def of(
        cls, password: str, *, salt: bytes, n: int = 16384, r: int = 8, p: int = 1
    ) -> ScryptHash:
        """Hash a password; the defaults take 16 MiB and some 50 ms."""
        return cls(n=n, r=r, p=p, salt=salt, digest=_scrypt(password, salt, n, r, p))

    @classmethod
    def parse(cls, text: str) -> ScryptHash:
        """Read `scrypt$N$r$p$SALT$HASH`; raise ValueError with the reason."""
        parts = text.removeprefix(_PREFIX).split("$")
        if not text.startswith(_PREFIX) or len(parts) != 5:
            raise ValueError("a hashed password has the form scrypt$N$r$p$SALT$HASH")
        if not all(part.isascii() and part.isdigit() for part in parts[:3]):
            raise ValueError("N, r and p of a hashed password are whole numbers")
        n, r, p = (int(part) for part in parts[:3])
        if n < 2 or n & (n - 1) or not (r and p) or 128 * r * (n + p) > _MAX_MEMORY:
            raise ValueError("N is a power of two, and N, r and p stay within 128 MiB")
        try:
            salt, digest = (base64.b64decode(part, validate=True) for part in parts[3:])
        except binascii.Error as error:
            raise ValueError("salt and hash of a password are written in base64") from error
        if len(digest) != _HASH_OCTETS:
            raise ValueError(f"the hash of a password has {_HASH_OCTETS} octets")
        return cls(n=n, r=r, p=p, salt=salt, digest=digest)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(part).decode() for part in (self.salt, self.digest))
        return f"{_PREFIX}{self.n}${self.r}${self.p}${salt}${digest}"

    def matches(self, password: str) -> bool:
        """Whether this is the hash of `password`; compared in constant time."""
        found = _scrypt(password, self.salt, self.n, self.r, self.p)
        return hmac.compare_digest(found, self.digest)


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode(), salt=salt, n=n, r=r, p=p, maxmem=2 * _MAX_MEMORY, dklen=_HASH_OCTETS
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Users and their secrets; with `accepts_any` every user and password will do.

    `accepts_any` is for loopback alone: `Listeners.start` refuses to open it to a network.
    """

    users: Mapping[str, str | ScryptHash] = field(
        repr=False, default_factory=lambda: MappingProxyType({})
    )
    accepts_any: bool = False

    @classmethod
    def anybody(cls) -> Credentials:
        """Return the credentials that accept every user and password."""
        return cls(accepts_any=True)

    @classmethod
    def load(cls, path: Path) -> Credentials:
        """Read a file; raise CredentialsError with every problem in it, OSError if unreadable."""
        return cls.parse(path.read_bytes(), name=str(path))

    @classmethod
    def parse(cls, content: bytes, *, name: str) -> Credentials:
        """Read a file's content; `name` is what problems are located with."""
        users: dict[str, str | ScryptHash] = {}
        problems: list[tuple[Place, str]] = []
        for number, raw in enumerate(content.splitlines(), start=1):
            try:
                entry = _entry(raw)
                if entry is None:
                    continue
                user, secret = entry
                if user in users:
                    raise ValueError("this user stands in the file already")
                users[user] = secret
            except ValueError as error:
                problems.append((Place(name, number), str(error)))
        if problems:
            raise CredentialsError(tuple(problems))
        return cls(users=MappingProxyType(users))

    def accept(self, user: str, password: str) -> bool:
        """Whether this user may log in with this password.

        A hash takes some 50 ms of CPU: call it off the event loop. An unknown user takes as long
        as a known one whose password is written out.
        """
        if self.accepts_any:
            return True
        match self.users.get(user):
            case ScryptHash() as hashed:
                return hashed.matches(password)
            case str() as written:
                return hmac.compare_digest(written.encode(), password.encode())
            case None:
                hmac.compare_digest(password.encode(), password.encode())
                return False


def _entry(raw: bytes) -> tuple[str, str | ScryptHash] | None:
    try:
        line = raw.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise ValueError("the line is not UTF-8") from None
    if not line or line.startswith("#"):
        return None
    user, colon, secret = line.partition(":")
    if not colon:
        raise ValueError("a line has the form user:password")
    if not user or not secret:
        raise ValueError("neither user nor password may be empty")
    return user, ScryptHash.parse(secret) if secret.startswith(_PREFIX) else secret
