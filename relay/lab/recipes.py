"""Certificate recipes: what a receiver of the lab shows, as data in `certs/*.yaml`.

A recipe holds no key and no date: names stand as `{host}`, dates as offsets from the moment of
issue. `relay.lab.authority` turns one into certificates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, unique
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from relay.config.resources import shipped

_OFFSET: Final = re.compile(r"(?P<sign>[+-]?)(?P<number>\d{1,5})(?P<unit>[smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_COUNT: Final = re.compile(r"\{1\.\.(?P<last>\d{1,5})\}")


class RecipeError(ValueError):
    """A recipe that can't be read; the text names the file and every problem in it."""


@unique
class Issuer(Enum):
    """Who signs what was made for the recipe: its subordinate authorities, else its leaf."""

    LAB_ROOT = "lab-root"
    LAB_INTERMEDIATE = "lab-intermediate"
    UNKNOWN_ROOT = "unknown-root"
    """The root of a second authority, which nobody is told to trust."""
    UNKNOWN_INTERMEDIATE = "unknown-intermediate"
    ITSELF = "itself"


@unique
class KeyKind(Enum):
    """The kind of a key."""

    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"
    RSA_1024 = "rsa-1024"
    RSA_2048 = "rsa-2048"


@unique
class Digest(Enum):
    """The digest that a certificate is signed with."""

    SHA256 = "sha256"
    SHA1 = "sha1"
    """Broken since 2017; needs an issuer with an RSA key."""


@unique
class Purpose(Enum):
    """The extended key usage (RFC 5280 section 4.2.1.12)."""

    SERVER = "server"
    CLIENT = "client"


@unique
class Extra(Enum):
    """An extension that an honest certificate doesn't have."""

    MUST_STAPLE = "must-staple"
    """RFC 7633: the server promises to staple an OCSP response to every handshake."""
    UNKNOWN_CRITICAL = "unknown-critical"
    """Marked as critical, with an identifier that nobody knows."""


@unique
class Sent(Enum):
    """A certificate that the receiver sends, named by its place in the chain."""

    LEAF = "leaf"
    SUBORDINATES = "subordinates"
    """All of the recipe's own, the leaf's issuer first."""
    INTERMEDIATE = "intermediate"
    ROOT = "root"


def parse_offset(value: object) -> timedelta:
    """Read '-30d', '+90d', '12h', '15m' or '30s'; raise ValueError for anything else."""
    found = _OFFSET.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise ValueError(f"{value!r} is not an offset such as -30d, 12h or 15m")
    offset = timedelta(**{_UNITS[found["unit"]]: int(found["number"])})
    return -offset if found["sign"] == "-" else offset


_Offset = Annotated[timedelta, BeforeValidator(parse_offset)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subordinate:
    """An authority below the issuer, made for one recipe alone.

    `authority` and `path_length` are its basic constraints (RFC 5280 section 4.2.1.9); with
    `permits` it may issue for these domains only (section 4.2.1.10).
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    valid_from: _Offset = timedelta(days=-30)
    valid_until: _Offset = timedelta(days=365)
    key: KeyKind = KeyKind.EC_P256
    authority: bool = True
    path_length: Annotated[int, Field(ge=0)] | None = None
    permits: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must lie before valid_until")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """One recipe; the fields are the keys of its file, `name` is the file's own.

    `about` says in a sentence what is wrong or right with the certificate. `valid_from` and
    `valid_until` count from the moment of issue. Without `common_name` the first of `names` is it.
    `subordinates` stand between the issuer and the leaf, from the top down. With `authority` the
    leaf itself says that it is an authority; with `revoked` its number is on the lab's revocation
    list. `sends` is the order on the wire.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    about: str
    names: tuple[str, ...]
    issuer: Issuer
    valid_from: _Offset
    valid_until: _Offset
    common_name: str | None = None
    key: KeyKind = KeyKind.EC_P256
    signature: Digest = Digest.SHA256
    purpose: Purpose = Purpose.SERVER
    authority: bool = False
    revoked: bool = False
    extensions: tuple[Extra, ...] = ()
    subordinates: tuple[Subordinate, ...] = ()
    sends: Annotated[tuple[Sent, ...], Field(min_length=1)] = (Sent.LEAF, Sent.INTERMEDIATE)

    def __post_init__(self) -> None:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must lie before valid_until")
        for sent in self.sends:
            if sent not in self._above_and_leaf():
                raise ValueError(
                    f"sends: there is no {sent.value} above a certificate by {self.issuer.value}"
                )
        if self.signature is Digest.SHA1 and not self._issuer_has_rsa_key():
            raise ValueError("signature: sha1 needs a subordinate with an RSA key as issuer")
        if self.revoked and (self.issuer is not Issuer.LAB_INTERMEDIATE or self.subordinates):
            raise ValueError("revoked: only the lab's intermediate has a revocation list")

    def _above_and_leaf(self) -> set[Sent]:
        above: dict[Issuer, set[Sent]] = {
            Issuer.ITSELF: set(),
            Issuer.LAB_ROOT: {Sent.ROOT},
            Issuer.UNKNOWN_ROOT: {Sent.ROOT},
            Issuer.LAB_INTERMEDIATE: {Sent.INTERMEDIATE, Sent.ROOT},
            Issuer.UNKNOWN_INTERMEDIATE: {Sent.INTERMEDIATE, Sent.ROOT},
        }
        own = {Sent.SUBORDINATES} if self.subordinates else set()
        return {Sent.LEAF} | own | above[self.issuer]

    def _issuer_has_rsa_key(self) -> bool:
        return bool(self.subordinates) and self.subordinates[-1].key is KeyKind.RSA_2048

    def names_for(self, host: str, address: str) -> tuple[str, ...]:
        """Return the subject's alternative names for a receiver, its placeholders filled in.

        `{host}` is the receiver's host name, `{domain}` the same without its first label,
        `{address}` the address that it listens on; `{1..9}` makes nine names of one.
        """
        return tuple(
            numbered for name in self.names for numbered in _counted(_filled(name, host, address))
        )

    def common_name_for(self, host: str, address: str) -> str | None:
        """Return the subject's common name for a receiver, None for a subject without one."""
        if self.common_name is not None:
            return _filled(self.common_name, host, address)
        return next(iter(self.names_for(host, address)), None)

    @property
    def nearest_date(self) -> timedelta:
        """How far the nearest of all dates lies from the moment of issue."""
        offsets = [self.valid_from, self.valid_until]
        for subordinate in self.subordinates:
            offsets += [subordinate.valid_from, subordinate.valid_until]
        return min(abs(offset) for offset in offsets)


def _filled(name: str, host: str, address: str) -> str:
    domain = host.partition(".")[2]
    for placeholder, value in (("{host}", host), ("{domain}", domain), ("{address}", address)):
        name = name.replace(placeholder, value)
    return name


def _counted(name: str) -> Iterator[str]:
    found = _COUNT.search(name)
    if found is None:
        yield name
        return
    for number in range(1, int(found["last"]) + 1):
        yield f"{name[: found.start()]}{number}{name[found.end() :]}"


# The parser in C is many times as fast, and there are many recipes; not every system has it.
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@cache
def _adapter() -> TypeAdapter[Recipe]:
    # Takes long to make, and a relay may do without any recipe.
    return TypeAdapter(Recipe)


def read_recipe(path: Path) -> Recipe:
    """Read one recipe file; raise RecipeError with every problem in it."""
    try:
        data: Any = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(data, dict) or "name" in data:
        raise RecipeError(f"{path}: a recipe is a mapping without 'name': the file's name is it")
    try:
        return _adapter().validate_python({"name": path.stem, **data})
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc']) or 'recipe'}: {problem['msg']}"
            for problem in error.errors()
        )
        raise RecipeError(f"{path}: {problems}") from error


def read_recipes(directory: Path) -> Mapping[str, Recipe]:
    """Read every recipe of a directory, by name; raise RecipeError for the first bad file."""
    recipes = [read_recipe(path) for path in sorted(directory.glob("*.yaml"))]
    return MappingProxyType({recipe.name: recipe for recipe in recipes})


@cache
def shipped_recipes() -> Mapping[str, Recipe]:
    """Return the recipes that come with the project, read once."""
    return read_recipes(shipped("certs"))
