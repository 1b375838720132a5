"""Certificate recipes: what a receiver of the lab shows, as data in `certs/*.yaml`.

A recipe holds no key and no date: names stand as `{host}`, dates as offsets from the moment of
issue. `relay.lab.authority` turns one into a certificate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
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

HOST: Final = "{host}"
"""In a recipe's names: the receiver's own host name."""

_OFFSET: Final = re.compile(r"(?P<sign>[+-]?)(?P<number>\d{1,5})(?P<unit>[smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


class RecipeError(ValueError):
    """A recipe that can't be read; the text names the file and every problem in it."""


@unique
class Issuer(Enum):
    """Who signs the certificate."""

    LAB_ROOT = "lab-root"
    LAB_INTERMEDIATE = "lab-intermediate"
    UNKNOWN_ROOT = "unknown-root"
    """The root of a second authority, which nobody is told to trust."""
    UNKNOWN_INTERMEDIATE = "unknown-intermediate"
    ITSELF = "itself"


@unique
class KeyKind(Enum):
    """The kind of the certificate's key."""

    EC_P256 = "ec-p256"
    RSA_2048 = "rsa-2048"


@unique
class Sent(Enum):
    """A certificate that the receiver sends, named by its place in the chain."""

    LEAF = "leaf"
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
class Recipe:
    """One recipe; the fields are the keys of its file, `name` is the file's own.

    `about` says in a sentence what is wrong or right with the certificate. `valid_from` and
    `valid_until` count from the moment of issue. `sends` is the order on the wire.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    name: str
    about: str
    names: Annotated[tuple[str, ...], Field(min_length=1)]
    issuer: Issuer
    valid_from: _Offset
    valid_until: _Offset
    key: KeyKind = KeyKind.EC_P256
    sends: Annotated[tuple[Sent, ...], Field(min_length=1)] = (Sent.LEAF, Sent.INTERMEDIATE)

    def __post_init__(self) -> None:
        if self.valid_from >= self.valid_until:
            raise ValueError("valid_from must lie before valid_until")
        above = {
            Issuer.ITSELF: set[Sent](),
            Issuer.LAB_ROOT: {Sent.ROOT},
            Issuer.UNKNOWN_ROOT: {Sent.ROOT},
            Issuer.LAB_INTERMEDIATE: {Sent.INTERMEDIATE, Sent.ROOT},
            Issuer.UNKNOWN_INTERMEDIATE: {Sent.INTERMEDIATE, Sent.ROOT},
        }[self.issuer]
        for sent in self.sends:
            if sent is not Sent.LEAF and sent not in above:
                raise ValueError(
                    f"sends: there is no {sent.value} above a certificate by {self.issuer.value}"
                )

    def names_for(self, host: str) -> tuple[str, ...]:
        """Return the subject names with the receiver's host name filled in."""
        return tuple(name.replace(HOST, host) for name in self.names)

    @property
    def nearest_date(self) -> timedelta:
        """How far the nearer one of the two dates lies from the moment of issue."""
        return min(abs(self.valid_from), abs(self.valid_until))


_ADAPTER: Final = TypeAdapter(Recipe)


def read_recipe(path: Path) -> Recipe:
    """Read one recipe file; raise RecipeError with every problem in it."""
    try:
        data: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from error
    if not isinstance(data, dict) or "name" in data:
        raise RecipeError(f"{path}: a recipe is a mapping without 'name': the file's name is it")
    try:
        return _ADAPTER.validate_python({"name": path.stem, **data})
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
