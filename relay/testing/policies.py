"""From what a test writes down for a policy to the policy."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from relay.config.policy_file import find_policy, load_policy_text
from relay.config.yaml_source import decode_yaml, read_yaml
from relay.core.delivery import Policy
from relay.core.settings import TlsSetting
from relay.lab.catalogue import SCENARIOS

PolicySource = str | Path | Mapping[str, Any] | TlsSetting
"""A shipped policy's name or a setting's, a path, the YAML text, its data, or a setting."""


def read_policy(
    source: PolicySource, settings: Mapping[str, Any] | None = None, *, near: Path | None = None
) -> Policy:
    """Return the policy that `source` stands for, with `settings` in place of its own keys.

    A text of several lines or with a colon and a blank is YAML. Any other is a path, first below
    the directory `near`; or else a name: of a shipped policy, or of a setting as in Salesforce's
    Setup. Raises PolicyFileError with all problems, PolicyNotFoundError.
    """
    name, text, base = _text_of(source, near)
    if settings:
        data = read_yaml(text, name=name).data
        own = data if isinstance(data, dict) else {}
        text = _yaml(own | dict(settings))
        name = f"{name} with {', '.join(settings)}"
    return load_policy_text(text, name=name, base=base, known_scenarios=frozenset(SCENARIOS))


def _text_of(source: PolicySource, near: Path | None) -> tuple[str, str, Path | None]:
    """Return a name for the records, the YAML text, and where file names in it begin."""
    match source:
        case TlsSetting():
            return source.label, f"tls: {source.label}\n", near
        case str() if "\n" in source or ": " in source:
            return "policy", source, near
        case str() | Path():
            return _file(str(source), near)
        case _:
            return "policy", _yaml(source), near


def _file(wanted: str, near: Path | None) -> tuple[str, str, Path | None]:
    if near is not None and (near / wanted).is_file():
        path = near / wanted
    else:
        try:
            path = find_policy(wanted)
        except FileNotFoundError:
            try:
                setting = TlsSetting.parse(wanted)
            except ValueError:
                pass
            else:
                return _text_of(setting, near)
            raise
    return str(path), decode_yaml(path.read_bytes(), name=str(path)), path.parent


def _yaml(data: Mapping[str, Any]) -> str:
    """Return data as YAML; tuples, settings and the like as what they stand for."""
    return yaml.safe_dump(_plain(data), sort_keys=False, allow_unicode=True, width=10_000)


def _plain(value: object) -> object:
    match value:
        case TlsSetting():
            return value.value
        case Path():
            return str(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item) for item in value]
        case _:
            return value
