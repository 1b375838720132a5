"""What a query of Salesforce's language asks of rows: their types, the conditions, the order. Pure.

A row is a mapping of an object's fields to values; an empty text is null, as in Salesforce. Texts
are compared without regard to case, days are those of UTC. Source: SOQL and SOSL Reference,
"Comparison Operators", "Date Formats and Date Literals", "ORDER BY".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum, unique
from functools import partial
from itertools import islice
from typing import Any, Final, assert_never

from relay.formats.soql import Condition, Name, Operator, Order, Query
from relay.formats.soql_tokens import (
    DateLiteral,
    LikePattern,
    Period,
    SoqlError,
    SoqlErrorCode,
    Value,
)

Cell = str | bool | datetime | None
Row = Mapping[str, Cell]


@unique
class FieldType(Enum):
    """What a field holds; the value is Salesforce's name of the type."""

    ID = "id"
    STRING = "string"
    BOOLEAN = "boolean"
    DATETIME = "dateTime"


@dataclass(frozen=True, slots=True, kw_only=True)
class SalesforceObject:
    """An object that can be queried: its name, and its fields as Salesforce spells them."""

    name: str
    fields: Mapping[str, FieldType]

    def find(self, name: Name) -> str | None:
        """Return a field's own spelling, None where the object has no such field."""
        return next((f for f in self.fields if f.lower() == name.text.lower()), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A query understood: `rows` picks, sorts and counts off the rows of `object`.

    `fields` are those selected, as the object spells them.
    """

    object: SalesforceObject
    fields: tuple[str, ...]
    query: Query
    now: datetime

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        """Return the rows that the query asks for, in its order, or else in the order given."""
        tests = [_test(condition, self.object, self.now) for condition in self.query.conditions]
        found: Iterable[Row] = (row for row in rows if all(test(row) for test in tests))
        if self.query.order:
            found = _sorted(list(found), self.query.order, self.object)
        begin = self.query.offset or 0
        end = None if self.query.limit is None else begin + self.query.limit
        return list(islice(found, begin, end))


def understand(
    query: Query, text: str, objects: Sequence[SalesforceObject], now: datetime
) -> Answer:
    """Find what a query names, and check that its conditions make sense.

    `text` is what `query` was read from. Raises SoqlError: INVALID_TYPE for an object,
    INVALID_FIELD for a field or a value of another type, INVALID_QUERY_FILTER_OPERATOR.
    """
    entity = next((o for o in objects if o.name.lower() == query.object.text.lower()), None)
    if entity is None:
        names = ", ".join(o.name for o in objects)
        raise SoqlError(
            SoqlErrorCode.INVALID_TYPE,
            f"sObject type '{query.object.text}' is not supported; there are {names}.",
            query=text,
            at=query.object.at,
        )
    for condition in query.conditions:
        _check(condition, _type_of(condition.field, entity, text), text)
    for key in query.order:
        _type_of(key.field, entity, text)
    return Answer(
        object=entity,
        fields=tuple(_field(name, entity, text) for name in query.fields),
        query=query,
        now=now,
    )


def _field(name: Name, entity: SalesforceObject, text: str) -> str:
    found = entity.find(name)
    if found is None:
        raise SoqlError(
            SoqlErrorCode.INVALID_FIELD,
            f"No such column '{name.text}' on entity '{entity.name}'; "
            f"there are {', '.join(entity.fields)}.",
            query=text,
            at=name.at,
        )
    return found


def _type_of(name: Name, entity: SalesforceObject, text: str) -> FieldType:
    return entity.fields[_field(name, entity, text)]


_ORDERS: Final = frozenset(
    {Operator.LESS, Operator.LESS_OR_EQUAL, Operator.GREATER, Operator.GREATER_OR_EQUAL}
)


def _check(condition: Condition, kind: FieldType, text: str) -> None:
    name, operator = condition.field, condition.operator
    misused = (operator is Operator.LIKE and kind is not FieldType.STRING) or (
        operator in _ORDERS and (kind is FieldType.BOOLEAN or None in condition.values)
    )
    if misused:
        raise SoqlError(
            SoqlErrorCode.INVALID_QUERY_FILTER_OPERATOR,
            f"invalid operator '{operator.value}' on {kind.value} field '{name.text}'",
            query=text,
            at=name.at,
        )
    if all(_fits(value, kind) for value in condition.values):
        return
    quotes = "should" if kind in {FieldType.ID, FieldType.STRING} else "should not"
    raise SoqlError(
        SoqlErrorCode.INVALID_FIELD,
        f"value of filter criterion for field '{name.text}' must be of type {kind.value} "
        f"and {quotes} be enclosed in quotes",
        query=text,
        at=name.at,
    )


def _fits(value: Value, kind: FieldType) -> bool:
    match value:
        case None:
            return True
        case str() | LikePattern():
            return kind in {FieldType.ID, FieldType.STRING}
        case bool():
            return kind is FieldType.BOOLEAN
        case datetime() | DateLiteral():
            return kind is FieldType.DATETIME
        case date() | int():
            return False
        case _:
            assert_never(value)


def _test(condition: Condition, entity: SalesforceObject, now: datetime) -> Callable[[Row], bool]:
    """Return a function that tells whether a condition holds for a row."""
    name = entity.find(condition.field)
    assert name is not None
    operator, (first, *_) = condition.operator, condition.values
    match operator:
        case Operator.LIKE:
            assert isinstance(first, LikePattern)
            pattern = _like(first)
            return lambda row: pattern.fullmatch(str(row[name] or "")) is not None
        case Operator.EQUAL | Operator.IN:
            spans = [_span(value, now) for value in condition.values]
            return lambda row: any(_within(_key(row[name]), span) for span in spans)
        case Operator.NOT_EQUAL | Operator.NOT_IN:
            spans = [_span(value, now) for value in condition.values]
            return lambda row: not any(_within(_key(row[name]), span) for span in spans)
        case Operator.LESS:
            begin, _ = _span(first, now)
            return lambda row: (key := _key(row[name])) is not None and key < begin
        case Operator.LESS_OR_EQUAL:
            _, end = _span(first, now)
            return lambda row: (key := _key(row[name])) is not None and key <= end
        case Operator.GREATER:
            _, end = _span(first, now)
            return lambda row: (key := _key(row[name])) is not None and key > end
        case Operator.GREATER_OR_EQUAL:
            begin, _ = _span(first, now)
            return lambda row: (key := _key(row[name])) is not None and key >= begin
        case _:
            assert_never(operator)


_Key = Any
"""What cells of one field are compared by: all of one type, or None."""
_Span = tuple[_Key, _Key]
"""The first and the last value that a literal stands for."""
_DAY: Final = timedelta(days=1)
_TICK: Final = timedelta(microseconds=1)


def _key(cell: Cell) -> _Key:
    """Return what cells are compared by; None for an empty text."""
    return (cell.casefold() or None) if isinstance(cell, str) else cell


def _within(key: _Key, span: _Span) -> bool:
    begin, end = span
    if key is None or begin is None:
        return key is begin
    return bool(begin <= key <= end)


def _span(value: Value, now: datetime) -> _Span:
    match value:
        case DateLiteral():
            return _period(value, now)
        case str() | bool() | datetime() | None:
            return _key(value), _key(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no field to be compared with")


def _period(literal: DateLiteral, now: datetime) -> _Span:
    today = now.astimezone(UTC).date()
    days = timedelta(days=literal.days or 0)
    match literal.period:
        case Period.TODAY:
            first, after = today, today + _DAY
        case Period.YESTERDAY:
            first, after = today - _DAY, today
        case Period.TOMORROW:
            first, after = today + _DAY, today + 2 * _DAY
        case Period.THIS_MONTH:
            first = today.replace(day=1)
            after = (first + 31 * _DAY).replace(day=1)
        case Period.LAST_MONTH:
            after = today.replace(day=1)
            first = (after - _DAY).replace(day=1)
        case Period.LAST_N_DAYS:
            first, after = today - days, today + _DAY
        case Period.N_DAYS_AGO:
            first, after = today - days, today - days + _DAY
        case _:
            assert_never(literal.period)
    return _midnight(first), _midnight(after) - _TICK


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


_PATTERN_PART: Final = re.compile(r"\\(.)|(.)", re.DOTALL)


def _like(pattern: LikePattern) -> re.Pattern[str]:
    """Return the pattern as an expression that takes no more than linear time to fail."""
    parts = [""]
    for literal, plain in _PATTERN_PART.findall(pattern.text):
        if plain == "%":
            parts.append("")
        else:
            parts[-1] += "." if plain == "_" else re.escape(literal or plain)
    first, *others = parts
    if others:
        *middle, last = others
        first += "".join(f"(?>.*?{part})" for part in middle) + f".*{last}"
    return re.compile(first, re.DOTALL | re.IGNORECASE)


def _sorted(rows: list[Row], order: Sequence[Order], entity: SalesforceObject) -> list[Row]:
    for key in reversed(order):
        name = entity.find(key.field)
        assert name is not None
        missing = [row for row in rows if _key(row[name]) is None]
        present = [row for row in rows if _key(row[name]) is not None]
        present.sort(key=partial(_sort_key, name), reverse=key.descending)
        rows = [*present, *missing] if key.nulls_last else [*missing, *present]
    return rows


def _sort_key(name: str, row: Row) -> _Key:
    return _key(row[name])
