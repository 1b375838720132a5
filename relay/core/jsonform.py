"""The one JSON form of every record: `--json`, JSON lines, API, webhook and evidence files.

Field names as in the dataclasses; enums by value; times in ISO 8601 with offset; addresses
and patterns as text; octets by their number and their SHA-256. `tests/core/test_jsonform.py` pins
it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from operator import attrgetter
from typing import Any, Final

import orjson

from relay.core.addresses import Address, DomainPattern
from relay.core.dsn import DsnRequest
from relay.core.outcomes import Delivered
from relay.core.records import Attempt, Bounce, Envelope, RecipientOutcome, Session

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

_AS_IT_IS: Final = frozenset({type(None), bool, int, float, str})
_PARTS_REMEMBERED: Final = 256
_SHARED: Final[dict[type[Any], tuple[str, ...]]] = {
    Envelope: (),
    Session: ("hop", "evidence"),
    Attempt: ("hop", "hosts", "rule", "verdict"),
    Bounce: ("rule",),
}
"""The fields of each record whose values many records have: those of a connection, and of a way."""
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def to_json(value: object) -> Json:
    """Return a value of the core as plain JSON data; raise TypeError for anything else."""
    kind: Any = type(value)
    if kind in _AS_IT_IS:
        return value  # type: ignore[return-value]
    return _form_of(kind)(value)


def to_text(record: Envelope | Session | Attempt | Bounce) -> str:
    """Return a record as one line of JSON, in ASCII: the data that `to_json` returns.

    It is for the four records alone, whose fields orjson writes as `to_json` has them; their times
    are in UTC, or off it by whole minutes (RFC 3339).
    """
    try:
        text = orjson.dumps(_quick_form(record)).decode()
    except orjson.JSONEncodeError:
        # A peer's octets as lone surrogates, or a number that takes more than 64 bits.
        return json.dumps(to_json(record))
    return text if text.isascii() else _NOT_ASCII.sub(_escaped, text)


def _quick_form(record: Any) -> dict[str, object]:
    """Return what orjson writes like the record, and faster: it is slow with slots and enums."""
    kind: Any = type(record)
    names, values_of = _fields_of(kind)
    form: dict[str, object] = dict(zip(names, values_of(record), strict=True))
    for name in _SHARED[kind]:
        part = form[name]
        if part is not None:
            # What was written a moment ago is found by one look.
            kept = _texts.get(id(part))
            form[name] = kept[1] if kept is not None else _written(part)
    if kind is Envelope:
        # Plain text: orjson asks an enum by two calls.
        form["body"] = record.body._value_
        form["reply_mode"] = record.reply_mode._value_
        if record.dsn == _NOTHING_ASKED:
            form["dsn"] = _NOTHING_ASKED_TEXT
    elif kind is Attempt:
        form["outcomes"] = [_outcome_form(entry) for entry in record.outcomes]
    elif kind is Session:
        form["direction"] = record.direction._value_
        form["transcript"] = [
            {
                "direction": line.direction._value_,
                "encrypted": line.encrypted,
                "at": line.at,
                "text": line.text,
            }
            for line in record.transcript
        ]
    return form


def _outcome_form(entry: RecipientOutcome) -> object:
    outcome = entry.outcome
    if not isinstance(outcome, Delivered):
        return entry
    return {
        "recipient": entry.recipient,
        "outcome": {
            "kind": outcome.kind,
            "reply": {"code": outcome.reply.code, "text": outcome.reply.text},
            "protection": outcome.protection._value_,
            "dsn": outcome.dsn,
        },
    }


_NOTHING_ASKED: Final = DsnRequest()
_NOTHING_ASKED_TEXT: Final = orjson.Fragment(orjson.dumps(_NOTHING_ASKED))
_texts: Final[dict[int, tuple[object, orjson.Fragment]]] = {}
"""Parts of records as JSON, by identity: they are frozen, and to compare them costs too much."""


def _written(part: object) -> orjson.Fragment:
    """Write a part of a record, and remember it."""
    if len(_texts) >= _PARTS_REMEMBERED:
        _texts.clear()
    text = orjson.Fragment(orjson.dumps(part))
    # The part is kept too: its identity must not become another's.
    _texts[id(part)] = (part, text)
    return text


def _escaped(found: re.Match[str]) -> str:
    return encode_basestring_ascii(found[0])[1:-1]


@cache
def _form_of(kind: type[Any]) -> Callable[[Any], Json]:
    """Return what writes values of a type: a record has many, and few types."""
    if issubclass(kind, bool | int | float | str) and not issubclass(kind, Enum):
        return _itself
    if issubclass(kind, bytes):
        return _octets
    if issubclass(kind, Enum):
        return {member: to_json(member.value) for member in kind}.__getitem__
    if issubclass(kind, datetime):
        return datetime.isoformat
    if issubclass(kind, timedelta):
        return timedelta.total_seconds
    if issubclass(kind, Address | DomainPattern):
        return str
    if issubclass(kind, tuple | list | frozenset):
        return _items
    if issubclass(kind, dict):
        return _mapping
    if is_dataclass(kind):
        return _record(kind)
    raise TypeError(f"{kind.__name__} has no JSON form")


def _itself(value: Any) -> Json:
    plain: Json = value
    return plain


def _octets(value: bytes) -> Json:
    return {"size": len(value), "sha256": sha256(value).hexdigest()}


def _items(value: tuple[object, ...]) -> Json:
    return [to_json(item) for item in value]


def _mapping(value: dict[object, object]) -> Json:
    return {str(to_json(key)): to_json(item) for key, item in value.items()}


@cache
def _fields_of(kind: type[Any]) -> tuple[tuple[str, ...], Callable[[Any], tuple[Any, ...]]]:
    """Return the names of a record's fields, two at least, and what takes their values."""
    names = tuple(field.name for field in fields(kind))
    return names, attrgetter(*names)


def _record(kind: Any) -> Callable[[Any], Json]:
    if len(fields(kind)) < 2:
        few = tuple(field.name for field in fields(kind))
        return lambda value: {name: to_json(getattr(value, name)) for name in few}
    names, values_of = _fields_of(kind)
    return lambda value: dict(zip(names, map(to_json, values_of(value)), strict=True))
