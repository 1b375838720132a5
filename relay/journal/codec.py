"""Records as text: written by `relay.core.jsonform`, read back into core's own dataclasses.

The text is ASCII, so that whatever a peer said can be stored, lone surrogates included.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from relay.core.jsonform import to_text
from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.api import JournalError

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

Record = Envelope | Session | Attempt | Bounce
_R = TypeVar("_R", Envelope, Session, Attempt, Bounce)

_KINDS: Final = {kind.__name__: kind for kind in (Envelope, Session, Attempt, Bounce)}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def encode(record: Record) -> str:
    """Return a record as one line of JSON."""
    return to_text(record)


def decode(kind: type[_R], text: str) -> _R:
    """Read what `encode` wrote; raise JournalError when it isn't a record of this kind."""
    record: _R
    try:
        record = _quick(kind.__name__).validate_json(text)
    except ValueError:
        pass
    else:
        return record
    try:
        # Python's own reader takes lone surrogates; and what is damaged fails here as well.
        record = _adapter(kind.__name__).validate_python(json.loads(text))
    except ValueError as error:
        raise JournalError(f"the journal has a damaged {kind.__name__.lower()} record") from error
    return record


@cache
def _adapter(kind: str) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(_KINDS[kind])


@cache
def _quick(kind: str) -> SchemaValidator:
    from relay.journal.quick_reading import quick_validator

    return quick_validator(_adapter(kind))


def to_microseconds(at: datetime) -> int:
    """Return an aware time as microseconds since 1970 UTC, which sort as the times do."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """Return the time, in UTC, that `to_microseconds` was given."""
    return _EPOCH + number * _MICROSECOND
