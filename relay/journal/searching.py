"""What messages are searched by, and the condition in SQL that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, unique
from typing import Final

from relay.core.settings import Protection
from relay.journal.api import RecipientState
from relay.journal.sqlite_reader import code_parts
from relay.journal.statements import domain_key, domain_of, storable


@unique
class OutcomeKind(Enum):
    """How a try ended for a recipient."""

    DELIVERED = "delivered"
    DEFERRED = "deferred"
    FAILED = "failed"


@unique
class HandshakeKind(Enum):
    """How a session's TLS handshake ended, as `relay.core.evidence` names it."""

    NOT_TRIED = "not-tried"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageFilter:
    """Which messages are wanted: those that every given mark applies to.

    `recipient`, `domain` and `state` are of one and the same recipient. `code` is a bounce's, in
    the forms of `JournalReader.bounces`. `outcome` and `protection` are of any try. `text` is
    looked for in the subject and in all addresses, without regard to the case of ASCII letters.
    `until` is left out of the time.
    """

    recipient: str | None = None
    domain: str | None = None
    state: RecipientState | None = None
    code: str | None = None
    outcome: OutcomeKind | None = None
    protection: Protection | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None


ALL: Final = MessageFilter()


def condition_of(wanted: MessageFilter) -> tuple[str, list[str | int]]:
    """Return a condition on `messages m`, and the values of its parameters.

    ValueError where `code` is none.
    """
    conditions: list[str] = ["true"]
    values: list[str | int] = []
    one: list[str] = []
    if wanted.domain is not None:
        one.append("r.domain = ?")
        values.append(domain_key(wanted.domain))
    if wanted.recipient is not None:
        one.append("r.domain = ? AND r.address = ? COLLATE NOCASE")
        values += [storable(domain_of(wanted.recipient)), storable(wanted.recipient)]
    if wanted.state is not None:
        one.append("r.state = ?")
        values.append(wanted.state.value)
    if one:
        conditions.append(
            f"m.sequence IN (SELECT r.message FROM recipients r WHERE {' AND '.join(one)})"  # noqa: S608 - literals
        )
    if wanted.code is not None:
        code, enhanced = code_parts(wanted.code)
        same = []
        for column, part in (("b.code", code), ("b.enhanced", enhanced)):
            if part is not None:
                same.append(f"{column} = ?")
                values.append(part)
        conditions.append(
            f"m.sequence IN (SELECT b.message FROM bounces b WHERE {' AND '.join(same)})"  # noqa: S608 - literals
        )
    for path, mark in (
        ("$.outcome.kind", wanted.outcome),
        ("$.outcome.protection", wanted.protection),
    ):
        if mark is not None:
            conditions.append(
                "EXISTS (SELECT 1 FROM attempts a, json_each(a.record, '$.outcomes') o "
                "WHERE a.message = m.sequence AND json_extract(o.value, ?) = ?)"
            )
            values += [path, mark.value]
    for sign, moment in ((">=", wanted.since), ("<", wanted.until)):
        if moment is not None:
            conditions.append(f"json_extract(m.record, '$.received_at') {sign} ?")
            values.append(moment.astimezone(UTC).isoformat())
    if wanted.text:
        # instr() has no wildcards that a user's text would have to be freed from.
        conditions.append(
            "(instr(lower(ifnull(json_extract(m.record, '$.subject'), '')), ?) "
            "OR instr(lower(json_extract(m.record, '$.reverse_path')), ?) "
            "OR EXISTS (SELECT 1 FROM recipients r WHERE r.message = m.sequence "
            "AND instr(lower(r.address), ?)))"
        )
        values += [storable(wanted.text).translate(_LOWER)] * 3
    return " AND ".join(conditions), values


_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
"""SQLite's lower(), which knows ASCII alone."""
