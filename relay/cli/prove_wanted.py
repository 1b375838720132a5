"""What `relay prove` was asked for, read from its options."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from relay.audit.promises import KNOWN_GOOD, PROMISES
from relay.cli.console import fail
from relay.config.values import FileValueError, read_duration
from relay.core.scenarios import Family
from relay.core.settings import TlsSetting
from relay.lab.catalogue import LAB_SCENARIOS, SCENARIOS

_USUAL: Final = (Family.HONEST, Family.STARTTLS, Family.HANDSHAKE, Family.CERTIFICATE)
"""The families that are about TLS."""
_ALL: Final = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What to prove, wherever the messages come from; `scenarios` begin with the known-good one.

    `as_json`: the result is for a program, and no bar is shown.
    """

    claim: TlsSetting
    scenarios: tuple[str, ...]
    wait: timedelta
    allow_external: bool
    as_json: bool


def read_claim(text: str) -> TlsSetting:
    """Read a setting in any spelling; end the command for another word."""
    try:
        return TlsSetting.parse(text)
    except ValueError as error:
        fail(f"--claims: {error}")


def read_wait(text: str) -> timedelta:
    """Read a duration; end the command for what is none."""
    try:
        return read_duration(text)
    except FileValueError as error:
        fail(f"--wait: {error}", hint=error.hint)


def read_scenarios(text: str | None) -> tuple[str, ...]:
    """Read names and families; end the command for one that is neither."""
    families = {family.value: family for family in Family}
    chosen = [KNOWN_GOOD]
    for word in text.split(",") if text is not None else [family.value for family in _USUAL]:
        name = word.strip()
        if name in PROMISES:
            chosen.append(name)
        elif name == _ALL:
            chosen += LAB_SCENARIOS
        elif name in families:
            family = families[name]
            chosen += [n for n, one in LAB_SCENARIOS.items() if one.card.family is family]
        elif name in SCENARIOS:
            fail(
                f"--scenarios: {name} is about DNS alone and shows no receiver to a sender",
                hint="What this relay makes of it: relay demo --scenario " + name,
            )
        else:
            fail(
                f"--scenarios: no scenario and no family is named {name!r}",
                hint=f"Families: {', '.join(families)}, {_ALL}. Scenarios: relay lab list.",
            )
    return tuple(dict.fromkeys(chosen))
