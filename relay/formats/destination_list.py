"""Reading a list of destinations: an address or a domain on each line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from relay.core.addresses import Domain, parse_address, parse_domain
from relay.core.places import Place
from relay.formats.email_log_reader import SHOWN, LogProblem

_COMMENT: Final = re.compile(r"(?:^|\s)#.*")
"""Behind a blank alone, for an address may have the sign itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A destination: a domain, or one recipient in it."""

    domain: Domain
    recipient: str | None = None


def read_destination(text: str) -> Listed:
    """Read an address or a domain; raise ValueError with a sentence that says what is wrong."""
    word = text.strip().removeprefix("<").removesuffix(">")
    if "@" in word:
        return Listed(domain=parse_address(word).domain, recipient=word)
    return Listed(domain=parse_domain(word))


def read_destinations(
    lines: Iterable[str], *, file: str = "destinations"
) -> Iterator[Listed | LogProblem]:
    """Yield what each line names, and in place of each bad one its problem.

    Empty lines are passed over, and what stands behind a blank and a `#`.
    """
    for number, line in enumerate(lines, start=1):
        word = _COMMENT.sub("", line).strip().removeprefix("\ufeff")
        if not word:
            continue
        try:
            yield read_destination(word)
        except ValueError as error:
            what = str(error)
            yield LogProblem(
                place=Place(file, number, line.index(word) + 1),
                what=what if len(what) <= SHOWN else f"{what[:SHOWN]}...",
                hint="give an address such as a@bank.test, or a domain",
            )
