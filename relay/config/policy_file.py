"""Loads a policy file: all of it, or the complete list of its problems."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from relay.config.bounce_parts import read_bounces
from relay.config.delivery_parts import read_codes, read_delivery, read_switches
from relay.config.file_shape import PolicyShape
from relay.config.problems import PolicyFileError, did_you_mean
from relay.config.relay_parts import read_email_relays
from relay.config.resources import shipped
from relay.config.routing_parts import read_routing
from relay.config.tls_parts import TlsParts, read_tls
from relay.config.validate import Report, validate
from relay.config.yaml_source import decode_yaml, read_yaml
from relay.config.yaml_tree import SourceTree
from relay.core.delivery import Policy

DEFAULT_POLICY: Final = "required-verify"
"""The shipped policy that holds where none is named."""


class PolicyNotFoundError(FileNotFoundError):
    """No policy file of this name or path; `hint` says which there are."""

    def __init__(self, wanted: str, hint: str) -> None:
        super().__init__(f"no policy file {wanted!r}")
        self.hint = hint
        # A traceback shows notes; commands and pytest's fixtures show the hint in their own way.
        self.add_note(hint)


def shipped_policies() -> tuple[Path, ...]:
    """Return the shipped policies in the order of their names."""
    return tuple(_shortest(file) for file in _by_name(shipped("policies").glob("*.yaml")))


def _by_name(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: file.stem)


def find_policy(name_or_path: str) -> Path:
    """Return the file that a user means by a path, or by a shipped policy's name.

    A path wins over a name. Shipped files are named relative to the working directory where they
    lie below it. Raises PolicyNotFoundError.
    """
    path = Path(name_or_path)
    return path if path.is_file() else find_shipped_policy(name_or_path)


def find_shipped_policy(name: str) -> Path:
    """Return the file of a shipped policy. Raises PolicyNotFoundError."""
    names = {file.stem: file for file in shipped_policies()}
    if name in names:
        return names[name]
    path = Path(name)
    word = path.stem if path.suffix in {".yaml", ".yml"} else name
    raise PolicyNotFoundError(
        name, did_you_mean(word, names) or f"shipped policies: {', '.join(names)}"
    )


def _shortest(path: Path) -> Path:
    here = Path(os.path.curdir).resolve()
    if here == here.parent:
        # From the root, a container's working directory, all that goes is the slash.
        return path
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedPolicy:
    """A policy and what its file said: for those who talk about the file itself.

    `tls` holds the parts that the policy's table was expanded from.
    """

    policy: Policy
    tls: TlsParts
    shape: PolicyShape
    tree: SourceTree


def load_policy(path: Path, *, known_scenarios: Set[str] | None = None) -> Policy:
    """Load a policy file.

    `known_scenarios` are the names that `lab/NAME` may have; without them they go unchecked. Raises
    PolicyFileError with all problems, OSError where the file can't be read.
    """
    return load_policy_file(path, known_scenarios=known_scenarios).policy


def load_policy_text(
    text: str, *, name: str, base: Path | None = None, known_scenarios: Set[str] | None = None
) -> Policy:
    """Load a policy from its text; `name` stands for the file in places and records.

    File names in it are relative to `base`, by default the working directory. Raises
    PolicyFileError with all problems.
    """
    return parse_policy(
        text, name=name, base=base or Path(), known_scenarios=known_scenarios
    ).policy


def load_policy_file(path: Path, *, known_scenarios: Set[str] | None = None) -> LoadedPolicy:
    """Load a policy file and keep what it was made of; raises as `load_policy` does."""
    data = path.read_bytes()
    return parse_policy(
        decode_yaml(data, name=str(path)),
        name=str(path),
        base=path.parent,
        known_scenarios=known_scenarios,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def parse_policy(
    text: str,
    *,
    name: str,
    base: Path,
    known_scenarios: Set[str] | None = None,
    sha256: str | None = None,
) -> LoadedPolicy:
    """Make a policy of a text and keep what it was made of.

    `sha256` is the digest of the file's octets, by default of the text in UTF-8. Raises
    PolicyFileError with all problems.
    """
    tree = read_yaml(text, name=name)
    report = Report(tree)
    shape, tree = validate(tree, report)
    tls = read_tls(shape, tree, report, base=base)
    email_relays = read_email_relays(
        shape, tree, report, tls=tls, base=base, known_scenarios=known_scenarios
    )
    routing = read_routing(
        shape, tree, report, email_relays=email_relays, known_scenarios=known_scenarios
    )
    delivery = read_delivery(shape, tree, report)
    codes = read_codes(shape)
    if report.problems:
        raise PolicyFileError(report.problems)
    policy = Policy(
        source=name,
        sha256=sha256 or hashlib.sha256(text.encode()).hexdigest(),
        tls=tls.table(),
        routing=routing,
        delivery=delivery,
        codes=codes,
        salesforce=read_switches(shape, read_bounces(shape)),
    )
    return LoadedPolicy(policy=policy, tls=tls, shape=shape, tree=tree)
