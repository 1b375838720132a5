"""The tokens of Salesforce's query language, its literals, and how an error names them. Pure.

Sources: SOQL and SOSL Reference, "Quoted String Escape Sequences" and "Date Formats and Date
Literals".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum, unique
from typing import Final, assert_never


@unique
class SoqlErrorCode(Enum):
    """Salesforce's own codes of what can be wrong with a query."""

    MALFORMED_QUERY = "MALFORMED_QUERY"
    INVALID_TYPE = "INVALID_TYPE"
    INVALID_FIELD = "INVALID_FIELD"
    INVALID_QUERY_FILTER_OPERATOR = "INVALID_QUERY_FILTER_OPERATOR"


_AROUND: Final = 40


class SoqlError(ValueError):
    """A query that can't be answered; the text shows the place as Salesforce does.

    `at` counts characters of the query from zero.
    """

    def __init__(self, code: SoqlErrorCode, detail: str, *, query: str, at: int) -> None:
        before = query[:at]
        row, column = before.count("\n") + 1, at - (before.rfind("\n") + 1)
        begin = max(0, at - column, at - _AROUND)
        line = query[begin : at + _AROUND].partition("\n")[0]
        caret = " " * (at - begin) + "^"
        super().__init__(f"\n{line}\n{caret}\nERROR at Row:{row}:Column:{column + 1}\n{detail}")
        self.code = code
        self.detail = detail
        self.at = at


@unique
class TokenKind(Enum):
    """What a token is."""

    SPACE = "space"
    TEXT = "text"
    MOMENT = "moment"
    DAY = "day"
    NUMBER = "number"
    NAME = "name"
    SIGN = "sign"
    END = "end"


_KEYWORDS: Final = frozenset(
    {"SELECT", "FROM", "WHERE", "AND", "OR", "NOT", "ORDER", "BY", "LIMIT", "OFFSET", "LIKE", "IN"}
)
_WORDS: Final = {"true": True, "false": False, "null": None}
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r\n\f]+)"
    r"|(?P<text>'(?:[^'\\]|\\.)*')"
    r"|(?P<moment>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:?\d\d))"
    r"|(?P<day>\d{4}-\d\d-\d\d)"
    r"|(?P<number>[+-]?\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_.]*(?::\d+)?)"
    r"|(?P<sign><=|>=|<>|!=|[=<>,()])",
    re.DOTALL | re.ASCII,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A token as it stands in the query, `at` characters from its beginning."""

    kind: TokenKind
    text: str
    at: int

    @property
    def keyword(self) -> bool:
        """Whether it is a word of the language, which names nothing."""
        return self.text.upper() in _KEYWORDS

    @property
    def is_value(self) -> bool:
        """Whether a field can be compared with it."""
        if self.kind is TokenKind.NAME:
            return self.text.lower() in _WORDS or _date_literal(self.text) is not None
        return self.kind in {TokenKind.TEXT, TokenKind.MOMENT, TokenKind.DAY, TokenKind.NUMBER}


@unique
class Period(Enum):
    """A span of days, told by a name; those with `n` take a number behind a colon."""

    TODAY = "TODAY"
    YESTERDAY = "YESTERDAY"
    TOMORROW = "TOMORROW"
    THIS_MONTH = "THIS_MONTH"
    LAST_MONTH = "LAST_MONTH"
    LAST_N_DAYS = "LAST_N_DAYS"
    N_DAYS_AGO = "N_DAYS_AGO"

    @property
    def counts(self) -> bool:
        """Whether it takes a number."""
        return self in {Period.LAST_N_DAYS, Period.N_DAYS_AGO}


MAX_DAYS: Final = 99_999
"""The largest number of a date literal, some 270 years."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DateLiteral:
    """A date literal such as TODAY or LAST_N_DAYS:7; `days` is None where it takes no number."""

    period: Period
    days: int | None = None

    def __str__(self) -> str:
        return self.period.value if self.days is None else f"{self.period.value}:{self.days}"


@dataclass(frozen=True, slots=True)
class LikePattern:
    r"""What LIKE compares with: `%` is any text, `_` one character; `\%`, `\_`, `\\` themselves."""

    text: str


Value = str | bool | int | None | datetime | date | DateLiteral | LikePattern
"""A literal; a number has no field here that it could be compared with, and its fraction is cut."""


def tokens_of(text: str) -> tuple[Token, ...]:
    """Return the tokens without spaces, the last one of kind END; SoqlError where there is none."""
    tokens, at = [], 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise SoqlError(
                SoqlErrorCode.MALFORMED_QUERY,
                f"unexpected token: '{text[at]}'",
                query=text,
                at=at,
            )
        if found.lastgroup != "space":
            tokens.append(Token(kind=TokenKind(found.lastgroup), text=found.group(), at=at))
        at = found.end()
    return (*tokens, Token(kind=TokenKind.END, text="", at=at))


def value_of(query: str, token: Token, *, like: bool = False) -> Value:
    """Return a token that is a value; with `like`, a text is a pattern. Raises SoqlError."""
    match token.kind:
        case TokenKind.TEXT:
            text = _unescaped(query, token, like=like)
            return LikePattern(text) if like else text
        case TokenKind.MOMENT | TokenKind.DAY:
            return _moment(query, token)
        case TokenKind.NUMBER:
            # Python refuses to read numbers of thousands of digits.
            return int(token.text.partition(".")[0][:20])
        case TokenKind.NAME:
            literal = _date_literal(token.text)
            return _WORDS[token.text.lower()] if literal is None else literal
        case TokenKind.SPACE | TokenKind.SIGN | TokenKind.END:
            raise ValueError("this token is no value")
        case _:
            assert_never(token.kind)


def written(value: Value) -> str:
    """Return a value as a query has it."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | DateLiteral():
            return str(value)
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case str():
            return f"'{value.translate(_ESCAPED)}'"
        case LikePattern(text):
            return f"'{text.translate(_ESCAPED_PATTERN)}'"
        case _:
            assert_never(value)


_ESCAPES: Final = {
    "n": "\n", "N": "\n", "r": "\r", "R": "\r", "t": "\t", "T": "\t", "b": "\b", "B": "\b",
    "f": "\f", "F": "\f", '"': '"', "'": "'", "\\": "\\",
}  # fmt: skip
_ESCAPED_PATTERN: Final = str.maketrans(
    {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "'": "\\'"}
)
_ESCAPED: Final = {**_ESCAPED_PATTERN, ord("\\"): "\\\\"}
_PATTERN_ESCAPES: Final = frozenset("%_\\")


def _unescaped(query: str, token: Token, *, like: bool) -> str:
    inner, parts, index = token.text[1:-1], [], 0
    while index < len(inner):
        character = inner[index]
        if character == "\\":
            index += 1
            escape = inner[index]
            if like and escape in _PATTERN_ESCAPES:
                character = "\\" + escape
            elif escape in _ESCAPES:
                character = _ESCAPES[escape]
            else:
                raise SoqlError(
                    SoqlErrorCode.MALFORMED_QUERY,
                    f"invalid escape sequence: '\\{escape}'",
                    query=query,
                    at=token.at + index,
                )
        parts.append(character)
        index += 1
    return "".join(parts)


def _moment(query: str, token: Token) -> datetime | date:
    try:
        if token.kind is TokenKind.DAY:
            return date.fromisoformat(token.text)
        return datetime.fromisoformat(token.text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise SoqlError(
            SoqlErrorCode.MALFORMED_QUERY,
            f"invalid date or time: '{token.text}'",
            query=query,
            at=token.at,
        ) from None


def _date_literal(text: str) -> DateLiteral | None:
    name, _, number = text.partition(":")
    try:
        period = Period(name.upper())
    except ValueError:
        return None
    if period.counts is not bool(number) or len(number) > len(str(MAX_DAYS)):
        return None
    return DateLiteral(period=period, days=int(number) if number else None)
