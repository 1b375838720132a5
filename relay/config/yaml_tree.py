"""A YAML document as a tree in which every value knows its place.

Parts can be taken out (`SourceTree.without`), so that what is left of a file can be checked further
after some of its values were found wrong; list items keep the index that they have in the file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from relay.config.problems import KeyPath, Problem
from relay.core.places import Place

Scalar = None | bool | int | float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """A single value.

    `text_column` is the column of the value's first character when it stands on one line exactly
    as it reads; None for values with escapes or several lines.
    """

    value: Scalar
    place: Place
    text_column: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListItem:
    """An item of a list and the index that it has in the file."""

    index: int
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class ListNode:
    """A list."""

    items: tuple[ListItem, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class MapEntry:
    """A value of a mapping and the place of its key."""

    key_place: Place
    node: Node


@dataclass(frozen=True, slots=True, kw_only=True)
class MapNode:
    """A mapping."""

    entries: Mapping[str, MapEntry]
    place: Place


Node = ScalarNode | ListNode | MapNode


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """A file's tree, the problems met in reading it, and what was taken out since.

    Paths index the tree as it is now; `written` gives the indices that the file has, and `removed`
    holds such paths.
    """

    name: str
    root: Node
    problems: tuple[Problem, ...] = ()
    removed: frozenset[KeyPath] = frozenset()

    @property
    def data(self) -> object:
        """The document as plain Python data."""
        return _data(self.root)

    def node(self, path: KeyPath) -> Node | None:
        """Return the node at `path`, None where there is none."""
        node: Node | None = self.root
        for step in path:
            node = _child(node, step) if node is not None else None
        return node

    def place(self, path: KeyPath) -> Place:
        """Return where the value at `path` stands; the nearest value around it where it is not."""
        node = self.root
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            node = child
        return node.place

    def key_place(self, path: KeyPath) -> Place:
        """Return where the key of the value at `path` stands; its own place where it has none."""
        parent = self.node(path[:-1])
        if isinstance(parent, MapNode) and path[-1] in parent.entries:
            return parent.entries[str(path[-1])].key_place
        return self.place(path)

    def written(self, path: KeyPath) -> KeyPath:
        """Return `path` with the indices that the file has."""
        written: list[str | int] = []
        node: Node | None = self.root
        for step in path:
            if isinstance(node, ListNode) and isinstance(step, int) and step < len(node.items):
                written.append(node.items[step].index)
            else:
                written.append(step)
            node = _child(node, step) if node is not None else None
        return tuple(written)

    def without(self, *paths: KeyPath) -> SourceTree:
        """Return this tree with the values at `paths` taken out, keys and all."""
        root = self.root
        # The last items first, so that the indices of those before them still hold.
        for path in sorted(set(paths), key=_removal_order, reverse=True):
            root = _without(root, path) if path else MapNode(entries={}, place=root.place)
        gone = {self.written(path) for path in paths}
        return replace(self, root=root, removed=self.removed | gone)

    def with_commas_split(self, path: KeyPath) -> SourceTree:
        """Return this tree with a comma-separated text at `path` as a list; blanks are trimmed.

        Empty entries are left out. Each entry stands at its own column where that can be told.
        """
        node = self.node(path)
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            return self
        texts = enumerate(_comma_entries(node))
        items = tuple(ListItem(index=index, node=entry) for index, entry in texts)
        return replace(
            self, root=_replaced(self.root, path, ListNode(items=items, place=node.place))
        )

    def empty_paths(self) -> tuple[KeyPath, ...]:
        """Return the paths of all values that are empty (null)."""
        return tuple(_empty_paths(self.root, ()))


def _data(node: Node) -> object:
    match node:
        case ScalarNode(value=value):
            return value
        case ListNode(items=items):
            return [_data(item.node) for item in items]
        case MapNode(entries=entries):
            return {key: _data(entry.node) for key, entry in entries.items()}


def _child(node: Node, step: str | int) -> Node | None:
    match node, step:
        case MapNode(entries=entries), str() if step in entries:
            return entries[step].node
        case ListNode(items=items), int() if 0 <= step < len(items):
            return items[step].node
        case _:
            return None


def _removal_order(path: KeyPath) -> tuple[tuple[int, str], ...]:
    return tuple((step, "") if isinstance(step, int) else (-1, step) for step in path)


def _without(node: Node, path: KeyPath) -> Node:
    step, rest = path[0], path[1:]
    child = _child(node, step)
    if child is None:
        return node
    if rest:
        return _replaced(node, (step,), _without(child, rest))
    match node:
        case MapNode(entries=entries):
            return replace(node, entries={key: e for key, e in entries.items() if key != step})
        case ListNode(items=items):
            return replace(node, items=tuple(i for at, i in enumerate(items) if at != step))
        case ScalarNode():
            return node


def _replaced(node: Node, path: KeyPath, new: Node) -> Node:
    if not path:
        return new
    step, rest = path[0], path[1:]
    match node:
        case MapNode(entries=entries) if isinstance(step, str):
            entry = entries[step]
            changed = replace(entry, node=_replaced(entry.node, rest, new))
            return replace(node, entries={**entries, step: changed})
        case ListNode(items=items) if isinstance(step, int):
            item = replace(items[step], node=_replaced(items[step].node, rest, new))
            return replace(node, items=(*items[:step], item, *items[step + 1 :]))
        case _:
            return node


def _comma_entries(node: ScalarNode) -> Iterator[ScalarNode]:
    offset = 0
    for part in str(node.value).split(","):
        if text := part.strip():
            place = node.place
            if node.text_column is not None:
                column = node.text_column + offset + len(part) - len(part.lstrip())
                place = replace(place, column=column)
            yield ScalarNode(value=text, place=place)
        offset += len(part) + 1


def _empty_paths(node: Node, path: KeyPath) -> Iterator[KeyPath]:
    match node:
        case ScalarNode(value=None) if path:
            yield path
        case ScalarNode():
            pass
        case ListNode(items=items):
            for at, item in enumerate(items):
                yield from _empty_paths(item.node, (*path, at))
        case MapNode(entries=entries):
            for key, entry in entries.items():
                yield from _empty_paths(entry.node, (*path, key))
