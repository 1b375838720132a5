"""Reading an export: every line is judged before anything is written, and all problems are told."""

from __future__ import annotations

import base64
import binascii
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.journal.api import Batch, JournalError, NewMessage, RecipientState, RecipientUpdate
from relay.journal.codec import decode
from relay.journal.transfer import EXPORT_FORMAT, KINDS


@dataclass(frozen=True, slots=True, kw_only=True)
class LineProblem:
    """What is wrong with a line of an export; `line` and `column` count from one."""

    line: int
    column: int
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """What an export holds: records by kind, and how many recipients wait for a try.

    With `problems` it can't be imported.
    """

    counts: dict[str, int]
    queued: int
    problems: tuple[LineProblem, ...]


class _BadLineError(Exception):
    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.column = column


def look_at(lines: Iterable[bytes]) -> Export:
    """Judge every line of an export."""
    found = _Look()
    number = 0
    for number, line in enumerate(lines, 1):
        try:
            found.take(number, line)
        except _BadLineError as error:
            found.problems.append(LineProblem(line=number, column=error.column, message=str(error)))
            if number == 1:
                # Every further line of some other file would be a problem of its own.
                return found.export()
    if not found.ended and number:
        what = "the file is cut off: it has no last line, one of kind end"
        found.problems.append(LineProblem(line=number, column=1, message=what))
    elif not number:
        found.problems.append(LineProblem(line=1, column=1, message="the file is empty"))
    return found.export()


class _Look:
    def __init__(self) -> None:
        self.problems: list[LineProblem] = []
        self.ended = False
        self._counts: Counter[str] = Counter()
        self._queued = 0
        self._ids: dict[str, set[str]] = {kind: set() for kind in KINDS}

    def take(self, number: int, line: bytes) -> None:
        data = _object(line)
        kind = data.get("kind")
        if number == 1:
            if kind != "journal":
                raise _BadLineError("this is no export of a journal, whose first line would say so")
            if data.get("format") != EXPORT_FORMAT:
                raise _BadLineError(f"this version reads exports of format {EXPORT_FORMAT} alone")
        elif self.ended:
            raise _BadLineError("there is nothing behind the line of kind end")
        elif kind == "end":
            self._end(data)
        elif isinstance(kind, str) and kind in KINDS:
            self._counts[kind] += 1
            self._record(_batch(data), kind)
        else:
            raise _BadLineError(f"a line is of one of the kinds {', '.join(KINDS)}, end")

    def _end(self, data: dict[str, Any]) -> None:
        self.ended = True
        for kind, table in KINDS.items():
            if data.get(kind) != self._counts[kind]:
                raise _BadLineError(f"{data.get(kind)} {table} were exported, not as many as here")

    def _record(self, batch: Batch, kind: str) -> None:
        parts: tuple[Attempt | Bounce, ...] = (*batch.attempts, *batch.bounces)
        for part in parts:
            if part.message_id not in self._ids["message"]:
                raise _BadLineError(f"it belongs to message {part.message_id}, not in this file")
            self._new(kind, part.id)
        for session in batch.sessions:
            self._new(kind, session.id)
        for message in batch.messages:
            self._new(kind, message.envelope.id)
            self._queued += sum(u.state is RecipientState.QUEUED for u in batch.updates)

    def _new(self, kind: str, own: str) -> None:
        if own in self._ids[kind]:
            raise _BadLineError(f"{kind} {own} stands in this file before")
        self._ids[kind].add(own)

    def export(self) -> Export:
        return Export(
            counts={kind: self._counts[kind] for kind in KINDS},
            queued=self._queued,
            problems=tuple(self.problems),
        )


def batches(lines: Iterable[bytes]) -> Iterator[Batch]:
    """Yield what `import_batches` takes from the lines of an export that has no problems."""
    for line in lines:
        data = _object(line)
        if data["kind"] in KINDS:
            yield _batch(data)


def _object(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except json.JSONDecodeError as error:
        raise _BadLineError(f"this is no JSON: {error.msg}", error.colno) from error
    except (ValueError, RecursionError) as error:
        # Octets that are no UTF-8, a number of thousands of digits, brackets without end.
        raise _BadLineError("this is no JSON") from error
    if not isinstance(data, dict):
        raise _BadLineError("this is no JSON object")
    return data


def _batch(data: dict[str, Any]) -> Batch:
    kind, text = data["kind"], json.dumps(data.get("record"))
    try:
        match kind:
            case "message":
                return _message(data, decode(Envelope, text))
            case "session":
                return Batch(sessions=(decode(Session, text),))
            case "attempt":
                return Batch(attempts=(decode(Attempt, text),))
            case _:
                return Batch(bounces=(decode(Bounce, text),))
    except JournalError as error:
        raise _BadLineError(f"its record is not one of kind {kind}") from error


def _message(data: dict[str, Any], envelope: Envelope) -> Batch:
    try:
        content = base64.b64decode(data["content"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise _BadLineError("its content is no base64") from error
    if (len(content), sha256(content).hexdigest()) != (envelope.size, envelope.sha256):
        raise _BadLineError("its content is not what was received (size and SHA-256)")
    states = data.get("states")
    if not isinstance(states, list) or len(states) != len(envelope.recipients):
        raise _BadLineError("it has not one state for each recipient")
    try:
        updates = tuple(
            RecipientUpdate(
                message_id=envelope.id,
                recipient=recipient,
                state=RecipientState(entry["state"]),
                next_at=_moment(entry["next_at"]),
            )
            for recipient, entry in zip(envelope.recipients, states, strict=True)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise _BadLineError("a recipient's state is none") from error
    message = NewMessage(
        envelope=envelope, content=content, state=RecipientState.INLINE, next_at=None
    )
    return Batch(messages=(message,), updates=updates)


def _moment(text: str | None) -> datetime | None:
    at = None if text is None else datetime.fromisoformat(text)
    if at is not None and at.tzinfo is None:
        raise ValueError(f"{text} has no offset from UTC")
    return at
