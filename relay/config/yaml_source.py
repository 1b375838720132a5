"""Reads YAML as people mean it, and knows where everything stands.

The parser is PyYAML's; its events are read here instead of its constructors, because those follow
YAML 1.1, where `tls: Off` is a boolean, `12:30:45` a number to the base 60, and of two equal keys
the last one silently wins. Here plain scalars follow the core schema of YAML 1.2 (section 10.3):
only true and false are booleans, numbers are decimal. Anchors, aliases and tags are refused.

A pattern that starts with `*` or an `@` without quotes is a syntax error to the parser. It is
reported with a hint and then read as if it had been quoted, so that one run still finds the rest.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Final

import yaml

from relay.config.problems import KeyPath, PolicyFileError, Problem, path_text
from relay.config.yaml_tree import (
    ListItem,
    ListNode,
    MapEntry,
    MapNode,
    Node,
    Scalar,
    ScalarNode,
    SourceTree,
)
from relay.core.places import Place

MAX_BYTES: Final = 1 << 20
"""Octets that a file may have."""
MAX_DEPTH: Final = 32
"""Levels of lists and mappings within one another."""
MAX_REPAIRS: Final = 100
"""Unquoted patterns after which reading ends."""

# Listed, rather than what is not printable: `re` takes milliseconds for a set up to U+10FFFF.
_UNPRINTABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]"
)
_NULLS: Final = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS: Final = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,15}")
_DECIMAL: Final = re.compile(
    r"[-+]?(?:\.[0-9]{1,30}|[0-9]{1,30}(?:\.[0-9]{0,30})?)(?:[eE][-+]?[0-9]{1,3})?"
)

_Loader: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Event = yaml.Event
_QUOTE_PATTERN: Final = "quote patterns that start with '*', as in \"*.example.com\""


def decode_yaml(data: bytes, *, name: str) -> str:
    """Return a file's octets as text; raise PolicyFileError if too many or not UTF-8."""
    _refuse_large(len(data), name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", errors="replace")
        place = _place_after(before, name)
        message = f"octet 0x{data[error.start]:02x} is not UTF-8"
        problem = Problem(place=place, path="", message=message, hint="save the file as UTF-8")
        raise PolicyFileError([problem]) from None


def read_yaml(text: str, *, name: str) -> SourceTree:
    """Read one document; `name` is the file as the user named it.

    An empty document is an empty mapping. Raises PolicyFileError for what can't be read at all;
    problems that leave the rest readable are in the tree's `problems`.
    """
    text = text.removeprefix("\ufeff")
    if found := _UNPRINTABLE.search(text):
        message = f"the character U+{ord(found[0]):04X} can't stand in a YAML file"
        place = _place_after(text[: found.start()], name)
        raise PolicyFileError([Problem(place=place, path="", message=message)])
    _refuse_large(len(text.encode()), name)
    repairs: dict[tuple[int, int], str] = {}
    lines = text.splitlines(keepends=True)
    while True:
        builder = _Builder(name, text, lines, repairs)
        try:
            root = builder.document(iter(yaml.parse("".join(lines), Loader=_Loader)))
        except yaml.MarkedYAMLError as error:
            repair = _unquoted(error, lines)
            if repair is None or len(repairs) == MAX_REPAIRS:
                raise PolicyFileError([*builder.problems, _syntax(error, lines, name)]) from None
            line, column = repair
            repairs[repair] = lines[line][column]
            lines[line] = f"{lines[line][:column]}x{lines[line][column + 1 :]}"
            continue
        return SourceTree(name=name, root=root, problems=tuple(builder.problems))


def _refuse_large(size: int, name: str) -> None:
    if size > MAX_BYTES:
        message = f"the file has {size} octets; allowed are {MAX_BYTES}"
        raise PolicyFileError([Problem(place=Place(name, 1), path="", message=message)])


def _place_after(before: str, name: str) -> Place:
    lines = f"{before}|".splitlines()
    return Place(name, len(lines), len(lines[-1]))


def _unquoted(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[int, int] | None:
    """Return where an unquoted `*` or `@` broke the syntax, as line and column from 0."""
    alias = error.context == "while scanning an alias"
    mark = error.context_mark if alias else error.problem_mark
    if mark is None or mark.line >= len(lines):
        return None
    return (mark.line, mark.column) if lines[mark.line][mark.column :][:1] in {"*", "@"} else None


def _syntax(error: yaml.MarkedYAMLError, lines: list[str], name: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark else (0, 0)
    if line >= len(lines) and lines:
        # The end of the file says little; where the unfinished thing began says more.
        mark = error.context_mark or mark
        line, column = (mark.line, mark.column) if mark else (0, 0)
    message, hint = _syntax_words(error, lines[line] if line < len(lines) else "", column)
    return Problem(place=Place(name, line + 1, column + 1), path="", message=message, hint=hint)


def _syntax_words(error: yaml.MarkedYAMLError, source: str, column: int) -> tuple[str, str | None]:
    """Return what is wrong and a hint; in our own words where people often meet it."""
    first = source[column : column + 1]
    if first == "\t":
        return "a tab can't indent in YAML", "indent with blanks"
    if first in {"%", "`"}:
        return f"text can't start with {first!r} in YAML", "put it in quotes"
    if "mapping values are not allowed" in (error.problem or ""):
        return "': ' can't stand here", "check the indentation, and quote text that has ': ' in it"
    context = f" {error.context}" if error.context else ""
    message = f"this is not YAML{context}: {error.problem or 'it can not be read'}"
    return message, 'quote IPv6 addresses, as in "[::1]:25"' if "]:" in source else None


def _start(event: _Event) -> tuple[int, int]:
    """Return where an event begins, as line and column from 0."""
    mark = event.start_mark
    return (mark.line, mark.column) if mark else (0, 0)


def _scalar(text: str) -> Scalar:
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(number := float(text)):
        return number
    return text


class _Builder:
    """Makes nodes of the parser's events; `repairs` maps positions from 0 to what stood there."""

    def __init__(
        self, name: str, text: str, lines: list[str], repairs: dict[tuple[int, int], str]
    ) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._end = _place_after(text, name)
        self._lines = lines
        self._repairs = repairs

    def document(self, events: Iterator[_Event]) -> Node:
        root: Node | None = None
        documents = 0
        for event in events:
            match event:
                case yaml.DocumentStartEvent() if documents:
                    self._report(event, (), "a second document begins here; one is allowed")
                    break
                case yaml.DocumentStartEvent():
                    documents += 1
                    root = self._node(next(events), events, ())
                case _:
                    pass
        if root is None or (isinstance(root, ScalarNode) and root.value is None):
            return MapNode(entries={}, place=Place(self._name, 1))
        return root

    def _place(self, event: _Event) -> Place:
        line, column = _start(event)
        return Place(self._name, line + 1, column + 1)

    def _report(
        self, event: _Event, path: KeyPath, message: str, *, hint: str | None = None
    ) -> None:
        self.problems.append(
            Problem(place=self._place(event), path=path_text(path), message=message, hint=hint)
        )

    def _node(self, event: _Event, events: Iterator[_Event], path: KeyPath) -> Node:
        if len(path) >= MAX_DEPTH and isinstance(event, yaml.CollectionStartEvent):
            self._report(event, (), f"more than {MAX_DEPTH} levels within one another")
            raise PolicyFileError(self.problems)
        if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
            self._report(event, path, "anchors (&name) are not used here")
        if getattr(event, "tag", None):
            self._report(event, path, "tags (!name) are not used here")
        match event:
            case yaml.SequenceStartEvent():
                return self._list(event, events, path)
            case yaml.MappingStartEvent():
                return self._mapping(event, events, path)
            case _:
                return self._leaf(event, path)

    def _list(self, start: _Event, events: Iterator[_Event], path: KeyPath) -> Node:
        items: list[ListItem] = []
        for event in events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            index = len(items)
            node = self._node(event, events, (*path, index))
            items.append(ListItem(index=index, node=node))
        return ListNode(items=tuple(items), place=self._place(start))

    def _mapping(self, start: _Event, events: Iterator[_Event], path: KeyPath) -> Node:
        entries: dict[str, MapEntry] = {}
        for event in events:
            if isinstance(event, yaml.MappingEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent | yaml.AliasEvent):
                self._report(event, path, "a key is a list or a mapping; it must be a word")
                self._node(event, events, (*path, "?"))
                self._node(next(events), events, (*path, "?"))
                continue
            key_node = self._leaf(event, path)
            # A key such as 25 or null is text, as written.
            text = key_node.value
            key = text if isinstance(text, str) else str(getattr(event, "value", text))
            value = self._node(next(events), events, (*path, key))
            if key in entries:
                first = entries[key].key_place.line
                self._report(event, (*path, key), f"the key is given twice, first on line {first}")
                continue
            entries[key] = MapEntry(key_place=key_node.place, node=value)
        return MapNode(entries=entries, place=self._place(start))

    def _leaf(self, event: _Event, path: KeyPath) -> ScalarNode:
        place = self._place(event)
        if isinstance(event, yaml.AliasEvent):
            text = f"*{event.anchor}"
            self._report(event, path, f"{_told(text, path)} has no quotes", hint=_QUOTE_PATTERN)
            return ScalarNode(value=text, place=place)
        assert isinstance(event, yaml.ScalarEvent)
        text = event.value
        if original := self._repairs.get(_start(event)):
            text = original + text[1:]
            hint = (
                _QUOTE_PATTERN if original == "*" else f"quote text that starts with {original!r}"
            )
            self._report(event, path, f"{_told(repr(text), path)} has no quotes", hint=hint)
            return ScalarNode(value=text, place=place, text_column=place.column)
        return ScalarNode(
            value=text if event.style or event.tag else _scalar(text),
            place=place,
            text_column=self._text_column(event),
        )

    def _text_column(self, event: yaml.ScalarEvent) -> int | None:
        line, column = _start(event)
        end = event.end_mark
        if end is None or line != end.line or event.style in {"|", ">"} or line >= len(self._lines):
            return None
        quote = 1 if event.style else 0
        first, last = column + quote, end.column - quote
        return first + 1 if self._lines[line][first:last] == event.value else None


def _told(text: str, path: KeyPath) -> str:
    """Return a value as a message may repeat it: what belongs to a login may be a password."""
    return "this" if any(str(step).startswith(("auth", "password")) for step in path) else text
