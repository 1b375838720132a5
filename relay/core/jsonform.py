"""The one JSON form of every record: `--json`, JSON lines, API, webhook and evidence files.

Field names as in the dataclasses; enums by value; times in ISO 8601 with offset; addresses
and patterns as text; octets by their number and their SHA-256. `tests/core/test_jsonform.py` pins
it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256

from relay.core.addresses import Address, DomainPattern

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


def to_json(value: object) -> Json:
    """Return a value of the core as plain JSON data; raise TypeError for anything else."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case bytes():
            return {"size": len(value), "sha256": sha256(value).hexdigest()}
        case Enum():
            return to_json(value.value)
        case datetime():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Address() | DomainPattern():
            return str(value)
        case tuple() | list() | frozenset():
            return [to_json(item) for item in value]
        case dict():
            return {str(to_json(key)): to_json(item) for key, item in value.items()}
        case _ if is_dataclass(value) and not isinstance(value, type):
            return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")
