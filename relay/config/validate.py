"""Validates a file's tree against the shape, and goes on with what is left after each problem."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from relay.config.file_shape import PolicyShape, Shape, keys_of, shape_at
from relay.config.problems import KeyPath, Problem, did_you_mean, nearest, path_text
from relay.config.values import describe
from relay.config.yaml_tree import ListNode, SourceTree

MAY_BE_EMPTY: Final = frozenset(
    {
        *("restrict_tls_to", "rules", "routes", "crl", "names"),
        *("email_relays", "domain_filters", "from", "priority"),
    }
)
"""Keys of a policy that mean the same without a value as with an empty list."""

S = TypeVar("S", bound=Shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileKind(Generic[S]):
    """A kind of file: its shape, and how to talk about it.

    `shape_at` returns the model that the key at a path belongs to; `may_be_empty` are keys that
    need no value; `opening` shows how such a file begins. No key of `shape` itself is required, so
    that a file is still valid when all that is wrong in it was taken out.
    """

    shape: type[S]
    shape_at: Callable[[KeyPath], type[Shape]]
    may_be_empty: frozenset[str]
    opening: str


POLICY_FILE: Final = FileKind(
    shape=PolicyShape,
    shape_at=shape_at,
    may_be_empty=MAY_BE_EMPTY,
    opening="a policy begins like this: 'tls: Required'",
)


class Report:
    """Collects the problems of one file."""

    def __init__(self, tree: SourceTree) -> None:
        self.problems: list[Problem] = list(tree.problems)

    def at_value(
        self, tree: SourceTree, path: KeyPath, message: str, *, hint: str | None = None
    ) -> None:
        """Add a problem of the value at `path`."""
        place, text = tree.place(path), path_text(tree.written(path))
        self.problems.append(Problem(place=place, path=text, message=message, hint=hint))

    def at_key(
        self, tree: SourceTree, path: KeyPath, message: str, *, hint: str | None = None
    ) -> None:
        """Add a problem of the key at `path`."""
        place, text = tree.key_place(path), path_text(tree.written(path))
        self.problems.append(Problem(place=place, path=text, message=message, hint=hint))


def validate(tree: SourceTree, report: Report) -> tuple[PolicyShape, SourceTree]:
    """Return a policy file's shape as `validate_as` does."""
    tree = tree.with_commas_split(("restrict_tls_to",))
    filters = tree.node(("domain_filters",))
    for index in range(len(filters.items) if isinstance(filters, ListNode) else 0):
        for key in ("from", "to"):
            tree = tree.with_commas_split(("domain_filters", index, key))
    return validate_as(POLICY_FILE, tree, report)


def validate_as(kind: FileKind[S], tree: SourceTree, report: Report) -> tuple[S, SourceTree]:
    """Return the file's shape and the tree without the values that were refused.

    Every refused value is reported. What follows from a refusal alone (a rule that has lost its
    `match`, or has it misspelt) is not reported again.
    """
    tree = _without_empty(tree, report, kind.may_be_empty)
    while True:
        try:
            return kind.shape.model_validate(tree.data), tree
        except ValidationError as error:
            details = [(_path(d["loc"]), d) for d in error.errors(include_url=False)]
            meant = {_meant(kind, path) for path, d in details if d["type"] == "extra_forbidden"}
            refused: list[KeyPath] = []
            for path, detail in details:
                missing = detail["type"] == "missing"
                known = path in meant or tree.written(path) in tree.removed
                if not (missing and known):
                    _explain(kind, detail, path, tree, report)
                refused.append(path[:-1] if missing else path)
            tree = tree.without(*refused)


def _without_empty(tree: SourceTree, report: Report, may_be_empty: frozenset[str]) -> SourceTree:
    empty = tree.empty_paths()
    for path in empty:
        if path[-1] not in may_be_empty:
            report.at_key(
                tree, path, "there is no value", hint="give it one, or remove the key with it"
            )
    return tree.without(*empty)


def _path(location: tuple[int | str, ...]) -> KeyPath:
    return tuple(s for s in location if isinstance(s, int) or not s.startswith("<"))


def _keys_beside(kind: FileKind[S], path: KeyPath) -> tuple[str, ...]:
    return keys_of(kind.shape_at(path))


def _meant(kind: FileKind[S], path: KeyPath) -> KeyPath:
    """Return the path with its unknown key replaced by the one that was probably meant."""
    return (*path[:-1], nearest(str(path[-1]), _keys_beside(kind, path)) or path[-1])


def _explain(
    kind: FileKind[S], detail: Any, path: KeyPath, tree: SourceTree, report: Report
) -> None:
    # What stands there by mistake may be a password.
    found = "this" if "auth" in path else describe(detail["input"])
    match detail["type"]:
        case "extra_forbidden":
            allowed = _keys_beside(kind, path)
            hint = did_you_mean(str(path[-1]), allowed)
            message = f"the key is not known; allowed: {', '.join(allowed)}"
            report.at_key(tree, path, message, hint=hint)
        case "missing":
            report.at_value(tree, path[:-1], f"the key {str(path[-1])!r} is missing")
        case "value_error":
            error = detail["ctx"]["error"]
            report.at_value(tree, path, str(error), hint=getattr(error, "hint", None))
        case "list_type":
            hint = f"write [{detail['input']}]" if isinstance(detail["input"], str) else None
            if path == ("restrict_tls_to",) or path[-1:] in {("from",), ("to",)}:
                hint = "write domains parted by commas, or a list of them"
            report.at_value(tree, path, f"{found} is not a list", hint=hint)
        case "model_type" | "model_attributes_type":
            hint = None if path else kind.opening
            report.at_value(tree, path, f"{found} is not a mapping of keys to values", hint=hint)
        case _:
            report.at_value(tree, path, detail["msg"])
