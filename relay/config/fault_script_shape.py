"""The shape of a fault script file, as pydantic models: its keys, and what each may be.

What concerns several keys at once is for `fault_script_file`.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final, TypeAlias

from pydantic import Field, PlainValidator, WithJsonSchema

from relay.config.file_shape import Shape
from relay.config.file_types import OptionalDuration
from relay.config.problems import KeyPath
from relay.config.validate import FileKind
from relay.config.values import (
    MAX_REPLY_LINE,
    FileValueError,
    describe,
    read_choice,
    read_duration,
    read_text,
)
from relay.core.fault_scripts import (
    MAX_DELAY,
    Chance,
    Delay,
    EveryNth,
    FaultPhase,
    Interference,
    NextN,
    RecipientPattern,
)
from relay.core.replies import Reply

MAX_SEED: Final = 2**32 - 1
MAX_COUNT: Final = 1_000_000

_REPLY: Final = re.compile(r"([45]\d\d)(?: (.*))?")
_PERCENT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)\s*%")
_PHASES: Final = {phase.value: phase for phase in FaultPhase}
_INTERFERENCES: Final = {deed.value: deed for deed in Interference}


def _read_phase(value: object) -> FaultPhase:
    return read_choice(value, _PHASES, "a phase of a session")


def _read_interference(value: object) -> Interference:
    return read_choice(value, _INTERFERENCES, "a fault")


def _read_scenario(value: object) -> str:
    return read_text(value, "the name of a scenario, such as good").strip().removeprefix("lab/")


def _whole(value: object, least: int, most: int, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise FileValueError(f"{describe(value)} is not {what}; allowed: {least} to {most}")


def _read_seed(value: object) -> int:
    return _whole(value, 0, MAX_SEED, "a seed")


def _read_next(value: object) -> NextN:
    return NextN(count=_whole(value, 1, MAX_COUNT, "a number of occasions"))


def _read_every(value: object) -> EveryNth:
    return EveryNth(nth=_whole(value, 1, MAX_COUNT, "a number of occasions"))


def _read_chance(value: object) -> Chance:
    hint = None
    if isinstance(value, str) and (found := _PERCENT.fullmatch(value.strip())):
        number = float(found[1]) / 100
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
        hint = f"write {value}%" if 1 < value <= 100 else None
    else:
        number = -1.0
    if not 0 < number <= 1:
        allowed = "allowed: above 0% up to 100%, or a number above 0 up to 1"
        raise FileValueError(f"{describe(value)} is not a probability; {allowed}", hint=hint)
    return Chance(probability=number)


def _read_recipient(value: object) -> RecipientPattern:
    forms = "a local part or an address, with '*' for any characters"
    return RecipientPattern.parse(read_text(value, f"{forms}, such as 'slow+*'"))


def _read_reply(value: object) -> Reply:
    line = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    text = read_text(line, "a reply such as '450 4.2.1 Mailbox busy'").strip()
    found = _REPLY.fullmatch(text)
    if found is None:
        raise FileValueError(
            f"{describe(value)} is not a reply that refuses; allowed: a code 4xx or 5xx and a text "
            "on one line, such as '450 4.2.1 Mailbox busy'"
        )
    if not text.isprintable():
        raise FileValueError("the text of a reply must be printable, on one line")
    if len(text.encode()) > MAX_REPLY_LINE:
        raise FileValueError(f"the line is longer than {MAX_REPLY_LINE} octets")
    return Reply(code=int(found[1]), text=found[2] or "")


def _read_delay(value: object) -> Delay:
    by = read_duration(value)
    if by > MAX_DELAY:
        hours = MAX_DELAY // timedelta(hours=1)
        raise FileValueError(f"{describe(value)} is too long a delay; allowed: up to {hours}h")
    return Delay(by=by)


def _number(least: int, most: int) -> WithJsonSchema:
    return WithJsonSchema({"type": "integer", "minimum": least, "maximum": most})


def _names(names: dict[str, FaultPhase] | dict[str, Interference]) -> WithJsonSchema:
    return WithJsonSchema({"enum": list(names)})


_Scenario: TypeAlias = Annotated[
    str, PlainValidator(_read_scenario), WithJsonSchema({"type": "string", "examples": ["good"]})
]
_Seed: TypeAlias = Annotated[int | None, PlainValidator(_read_seed), _number(0, MAX_SEED)]
_Phase: TypeAlias = Annotated[FaultPhase, PlainValidator(_read_phase), _names(_PHASES)]
_Next: TypeAlias = Annotated[NextN | None, PlainValidator(_read_next), _number(1, MAX_COUNT)]
_Every: TypeAlias = Annotated[EveryNth | None, PlainValidator(_read_every), _number(1, MAX_COUNT)]
_Chance: TypeAlias = Annotated[
    Chance | None,
    PlainValidator(_read_chance),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
                {"type": "string", "pattern": r"^\s*[0-9]{1,3}(\.[0-9]{1,6})?\s*%\s*$"},
            ]
        }
    ),
]
_Recipient: TypeAlias = Annotated[
    RecipientPattern | None, PlainValidator(_read_recipient), WithJsonSchema({"type": "string"})
]
_ReplyLine: TypeAlias = Annotated[
    Reply | None,
    PlainValidator(_read_reply),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 400, "maximum": 599},
                {"type": "string", "pattern": r"^\s*[45][0-9][0-9]( .*)?$"},
            ]
        }
    ),
]
_Do: TypeAlias = Annotated[
    Interference | None, PlainValidator(_read_interference), _names(_INTERFERENCES)
]
_Delay: TypeAlias = Annotated[
    Delay | None,
    PlainValidator(_read_delay),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0},
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?\s*(ms|s|m|h)?$"},
            ]
        }
    ),
]


class FaultRuleShape(Shape):
    """One rule: where, when, for whom, and what happens then."""

    phase: _Phase
    """Where in a session the rule acts."""
    next: _Next = None
    """Act on this many occasions, then never again."""
    every: _Every = None
    """Act on each occasion of this number: 5 is the fifth, the tenth and so on."""
    chance: _Chance = None
    """Act on each occasion with this probability, such as 20%; the seed decides."""
    recipient: _Recipient = None
    """Act for these recipients alone: a local part, local@domain or @domain, with `*` for any
    characters. In the phases rcpt, data and content."""
    after: OptionalDuration = Field(default=None, examples=["30s"])
    """Act from this long after the script was loaded or reset."""
    reply: _ReplyLine = Field(default=None, examples=["450 4.2.1 Mailbox busy"])
    """Answer with this reply, 4xx or 5xx; after 421 the receiver closes the connection."""
    do: _Do = None
    """`drop` the connection, `reset` it, keep `silence`, or send `garbage`."""
    delay: _Delay = Field(default=None, examples=["10s"])
    """Wait this long, then do as the scenario says."""


class FaultScriptShape(Shape):
    """What goes wrong at one scenario's receiver."""

    scenario: _Scenario
    """The scenario whose receiver follows the rules."""
    seed: _Seed = None
    """Decides all chance; the same seed gives the same run. Default: another one at each load."""
    rules: list[FaultRuleShape]
    """Asked in this order at each phase; the first that applies and acts decides."""


class FaultScriptsShape(Shape):
    """Fault scripts of Relaylab's lab."""

    scripts: list[FaultScriptShape] | None = None
    """One script for each scenario that goes wrong beyond its own ways."""


def _shape_at(path: KeyPath) -> type[Shape]:
    match path:
        case (_,):
            return FaultScriptsShape
        case (_, int(), _):
            return FaultScriptShape
        case _:
            return FaultRuleShape


FAULT_SCRIPT_FILE: Final = FileKind(
    shape=FaultScriptsShape,
    shape_at=_shape_at,
    may_be_empty=frozenset(),
    opening="a file of fault scripts begins like this: 'scripts:'",
)
ANSWER_KEYS: Final = ("reply", "do", "delay")
"""A rule has one of them."""
WHEN_KEYS: Final = ("next", "every", "chance")
"""A rule has one of them, or none to act on every occasion."""
