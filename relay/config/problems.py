"""What is wrong with a user's file: located, complete, and with what to do about it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from relay.core.places import Place

_PASSWORD_IN_KEY: Final = re.compile(r"(?is)^(password(?:_env)?)[^a-z_].*")

KeyPath = tuple[str | int, ...]
"""The way from a file's root to a value: keys, and indices that count from 0."""


@unique
class Severity(Enum):
    """Whether a file can be used in spite of the problem."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One problem of a file.

    `path` is the value's way from the root as people write it (`rules[0].tls`), empty for the file
    as a whole. `message` says what is wrong and what is allowed, `hint` what was probably meant or
    what to do.
    """

    place: Place
    path: str
    message: str
    hint: str | None = None
    severity: Severity = Severity.ERROR

    @property
    def words(self) -> str:
        """The message and the hint, without the place."""
        return f"{self.message}; {self.hint}" if self.hint else self.message

    def __str__(self) -> str:
        where = f"{self.place}:{self.place.column}: "
        return f"{where}{self.path}: {self.words}" if self.path else f"{where}{self.words}"


class PolicyFileError(Exception):
    """A policy file that can't be used; `problems` has all of its errors, in the file's order."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted_problems(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def sorted_problems(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems in the order in which a reader of the file meets them."""
    return tuple(sorted(problems, key=lambda p: (p.place.file, p.place.line, p.place.column)))


def path_text(path: KeyPath) -> str:
    """Return a path as people write it: `rules[0].tls`.

    A key that somebody wrote in one with a password, as in `{password word}`, is cut off.
    """
    text = ""
    for step in path:
        match _PASSWORD_IN_KEY.sub(r"\1...", step) if isinstance(step, str) else step:
            case int(number):
                text += f"[{number}]"
            case str(key) if text:
                text += f".{key}"
            case str(key):
                text = key
    return text


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that is nearest to `word`, None where none is near."""
    by_folded = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str | None:
    """Return a hint with the known word that is nearest to `word`, None where none is near."""
    near = nearest(word, known)
    return f"did you mean {near!r}?" if near else None


def warning(place: Place, path: KeyPath, message: str, hint: str) -> Problem:
    """Return a problem that does not keep the file from being used."""
    return Problem(
        place=place, path=path_text(path), message=message, hint=hint, severity=Severity.WARNING
    )
