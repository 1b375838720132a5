"""A policy that somebody posted: read like a file, and confined to the policy's own folder.

What is posted may name files to trust only where the relay's own policy file lies, and neither
files nor environment variables to take a password from: it would tell whether they exist.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from relay.config.lint import lint
from relay.config.policy_file import LoadedPolicy, load_policy_file, parse_policy
from relay.config.problems import KeyPath, PolicyFileError, Problem, path_text
from relay.config.yaml_source import decode_yaml, read_yaml
from relay.config.yaml_tree import ListNode, MapNode, Node, ScalarNode, SourceTree
from relay.lab.catalogue import SCENARIOS

NAME: Final = "posted"
"""Stands for the file in places and records."""
_FILES: Final = frozenset({"trust", "crl"})
_NO_FILES: Final = frozenset({"lab", "system"})
_SECRETS: Final = frozenset({"password_env", "password_file"})


def read_posted(octets: bytes, *, folder: Path) -> LoadedPolicy:
    """Load a posted policy; `folder` is where its files may lie.

    Raises PolicyFileError with every problem in it.
    """
    text = decode_yaml(octets, name=NAME)
    tree = read_yaml(text, name=NAME)
    if refused := tuple(_refused(tree, folder.resolve())):
        # The rest is not looked at: that would read what may not be read.
        raise PolicyFileError(refused)
    return parse_policy(text, name=NAME, base=folder, known_scenarios=frozenset(SCENARIOS))


def problems_of(octets: bytes, *, folder: Path) -> tuple[Problem, ...]:
    """Return all errors of a posted policy, or all warnings where it has none."""
    try:
        return lint(read_posted(octets, folder=folder))
    except PolicyFileError as error:
        return error.problems


def problems_of_file(file: Path) -> tuple[Problem, ...]:
    """Return the same of a policy file of the relay's own; raise OSError."""
    try:
        return lint(load_policy_file(file, known_scenarios=frozenset(SCENARIOS)))
    except PolicyFileError as error:
        return error.problems


def _refused(tree: SourceTree, folder: Path) -> Iterator[Problem]:
    for path, node in _named(tree.root, ()):
        key = next(step for step in reversed(path) if isinstance(step, str))
        if key in _SECRETS:
            yield _problem(
                path, node, f"{key} can't be posted", "write the password itself, or none"
            )
        elif isinstance(node.value, str):
            for name in node.value.split(","):
                if name.strip() not in _NO_FILES and not _is_inside(name.strip(), folder):
                    yield _problem(
                        path,
                        node,
                        "this file is not in the folder of the relay's own policy",
                        "copy it there, or post the policy without it",
                    )


def _is_inside(name: str, folder: Path) -> bool:
    try:
        return (folder / Path(name).expanduser()).resolve().is_relative_to(folder)
    except (OSError, ValueError, RuntimeError):
        return False


def _named(
    node: Node, path: KeyPath, *, within: bool = False
) -> Iterator[tuple[KeyPath, ScalarNode]]:
    """Yield every value at or below a key that names files or secrets."""
    match node:
        case ScalarNode():
            if within:
                yield path, node
        case ListNode(items=items):
            for item in items:
                yield from _named(item.node, (*path, item.index), within=within)
        case MapNode(entries=entries):
            for key, entry in entries.items():
                inside = within or key in _FILES | _SECRETS
                yield from _named(entry.node, (*path, key), within=inside)


def _problem(path: KeyPath, node: ScalarNode, message: str, hint: str) -> Problem:
    return Problem(place=node.place, path=path_text(path), message=message, hint=hint)
