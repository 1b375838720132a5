"""Salesforce's query language (SOQL), as far as code that polls for bounces needs it. Pure.

    query      SELECT name {, name} FROM name [WHERE condition {AND condition}]
               [ORDER BY name [ASC | DESC] [NULLS FIRST | NULLS LAST] {, ...}] [LIMIT n] [OFFSET n]
    condition  name operator value | name [NOT] IN ( value {, value} ) | name LIKE text

Keywords and names are compared without regard to case. Anything else is an error of Salesforce's
own kind, which names the token and its place. Source: SOQL and SOSL Reference, "SELECT".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, unique
from typing import Final

from relay.formats.soql_tokens import (
    DateLiteral,
    LikePattern,
    SoqlError,
    SoqlErrorCode,
    Token,
    TokenKind,
    Value,
    tokens_of,
    value_of,
    written,
)

MAX_NUMBER: Final = 2**31 - 1
"""The largest LIMIT and OFFSET."""

__all__ = [
    "Condition",
    "DateLiteral",
    "LikePattern",
    "Name",
    "Operator",
    "Order",
    "Query",
    "SoqlError",
    "SoqlErrorCode",
    "Value",
    "parse_soql",
]


@unique
class Operator(Enum):
    """How a field is compared."""

    EQUAL = "="
    NOT_EQUAL = "!="
    LESS = "<"
    LESS_OR_EQUAL = "<="
    GREATER = ">"
    GREATER_OR_EQUAL = ">="
    LIKE = "LIKE"
    IN = "IN"
    NOT_IN = "NOT IN"


_COMPARISONS: Final = {
    "=": Operator.EQUAL,
    "!=": Operator.NOT_EQUAL,
    "<>": Operator.NOT_EQUAL,
    "<": Operator.LESS,
    "<=": Operator.LESS_OR_EQUAL,
    ">": Operator.GREATER,
    ">=": Operator.GREATER_OR_EQUAL,
}


@dataclass(frozen=True, slots=True)
class Name:
    """A field or an object as the query spells it; `at` is where it stands, from zero."""

    text: str
    at: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One comparison; `values` is one value, but for IN and NOT IN."""

    field: Name
    operator: Operator
    values: tuple[Value, ...]

    def __str__(self) -> str:
        many = self.operator in {Operator.IN, Operator.NOT_IN}
        values = ", ".join(map(written, self.values))
        return f"{self.field.text} {self.operator.value} {f'({values})' if many else values}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One key of ORDER BY; null sorts first unless `nulls_last`."""

    field: Name
    descending: bool = False
    nulls_last: bool = False

    def __str__(self) -> str:
        nulls = " NULLS LAST" if self.nulls_last else ""
        return f"{self.field.text} {'DESC' if self.descending else 'ASC'}{nulls}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A query; `conditions` must all hold. `str` writes it so that it reads back as the same."""

    fields: tuple[Name, ...]
    object: Name
    conditions: tuple[Condition, ...] = ()
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int | None = None

    def __str__(self) -> str:
        fields = ", ".join(name.text for name in self.fields)
        parts = [f"SELECT {fields} FROM {self.object.text}"]  # noqa: S608 - no database reads it
        if self.conditions:
            parts.append(f"WHERE {' AND '.join(map(str, self.conditions))}")
        if self.order:
            parts.append(f"ORDER BY {', '.join(map(str, self.order))}")
        for word, number in (("LIMIT", self.limit), ("OFFSET", self.offset)):
            if number is not None:
                parts.append(f"{word} {number}")
        return " ".join(parts)


def parse_soql(text: str) -> Query:
    """Read a query; raise SoqlError, of MALFORMED_QUERY, for anything else."""
    return _Parser(text).query()


class _Parser:
    """Recursive descent over the tokens; each method reads what its name says."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokens_of(text)
        self._next = 0

    def query(self) -> Query:
        self._keyword("SELECT")
        fields = self._names()
        self._keyword("FROM")
        entity = self._name()
        conditions: list[Condition] = []
        if self._has_keyword("WHERE"):
            conditions.append(self._condition())
            while self._has_keyword("AND"):
                conditions.append(self._condition())
        order: list[Order] = []
        if self._has_keyword("ORDER"):
            self._keyword("BY")
            order.append(self._order())
            while self._has(","):
                order.append(self._order())
        limit = self._number() if self._has_keyword("LIMIT") else None
        offset = self._number() if self._has_keyword("OFFSET") else None
        if self._peek.kind is not TokenKind.END:
            raise self._unexpected()
        return Query(
            fields=fields,
            object=entity,
            conditions=tuple(conditions),
            order=tuple(order),
            limit=limit,
            offset=offset,
        )

    def _names(self) -> tuple[Name, ...]:
        names = [self._name()]
        while self._has(","):
            names.append(self._name())
        seen: set[str] = set()
        for name in names:
            if name.text.lower() in seen:
                raise self._malformed(f"duplicate field selected: {name.text}", name.at)
            seen.add(name.text.lower())
        return tuple(names)

    def _name(self) -> Name:
        if self._peek.kind is not TokenKind.NAME or self._peek.keyword:
            raise self._unexpected()
        token = self._take()
        return Name(token.text, token.at)

    def _condition(self) -> Condition:
        name = self._name()
        if self._has_keyword("LIKE"):
            token = self._peek
            if token.kind is not TokenKind.TEXT:
                raise self._unexpected()
            return Condition(
                field=name,
                operator=Operator.LIKE,
                values=(value_of(self._text, self._take(), like=True),),
            )
        negated = self._has_keyword("NOT")
        if self._has_keyword("IN"):
            operator = Operator.NOT_IN if negated else Operator.IN
            return Condition(field=name, operator=operator, values=self._list())
        comparison = _COMPARISONS.get(self._peek.text)
        if negated or self._peek.kind is not TokenKind.SIGN or comparison is None:
            raise self._unexpected()
        self._take()
        return Condition(field=name, operator=comparison, values=(self._value(),))

    def _list(self) -> tuple[Value, ...]:
        self._sign("(")
        values = [self._value()]
        while self._has(","):
            values.append(self._value())
        self._sign(")")
        return tuple(values)

    def _value(self) -> Value:
        if not self._peek.is_value:
            raise self._unexpected()
        return value_of(self._text, self._take())

    def _order(self) -> Order:
        name = self._name()
        descending = self._has_keyword("DESC")
        if not descending:
            self._has_keyword("ASC")
        nulls_last = False
        if self._has_keyword("NULLS"):
            nulls_last = self._has_keyword("LAST")
            if not nulls_last:
                self._keyword("FIRST")
        return Order(field=name, descending=descending, nulls_last=nulls_last)

    def _number(self) -> int:
        token = self._peek
        if token.kind is not TokenKind.NUMBER or not token.text.isdecimal():
            raise self._unexpected()
        # Python refuses to read numbers of thousands of digits.
        if len(token.text) > len(str(MAX_NUMBER)) or int(token.text) > MAX_NUMBER:
            raise self._malformed(f"number out of range: {token.text[:20]}", token.at)
        self._take()
        return int(token.text)

    @property
    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._peek
        self._next += 1
        return token

    def _has(self, sign: str) -> bool:
        found = self._peek.kind is TokenKind.SIGN and self._peek.text == sign
        self._next += found
        return found

    def _has_keyword(self, word: str) -> bool:
        found = self._peek.kind is TokenKind.NAME and self._peek.text.upper() == word
        self._next += found
        return found

    def _sign(self, sign: str) -> None:
        if not self._has(sign):
            raise self._unexpected()

    def _keyword(self, word: str) -> None:
        if not self._has_keyword(word):
            raise self._unexpected()

    def _unexpected(self) -> SoqlError:
        token = self._peek
        shown = "<EOF>" if token.kind is TokenKind.END else token.text
        return self._malformed(f"unexpected token: '{shown}'", token.at)

    def _malformed(self, detail: str, at: int) -> SoqlError:
        return SoqlError(SoqlErrorCode.MALFORMED_QUERY, detail, query=self._text, at=at)
