"""The files that come with Relaylab: policies and certificate recipes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal

from relay.config.problems import did_you_mean

DEFAULT_POLICY: Final = "required-verify"
"""The shipped policy that holds where none is named."""


class PolicyNotFoundError(FileNotFoundError):
    """No policy file of this name or path; `hint` names what there is."""

    def __init__(self, wanted: str, hint: str) -> None:
        super().__init__(f"no policy file {wanted!r}")
        self.hint = hint


def shipped(kind: Literal["policies", "certs"]) -> Path:
    """Return the directory of shipped files: the wheel's, else the repository's.

    Raises FileNotFoundError where the installation lacks it.
    """
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "shipped" / kind, package.parent / kind):
        if directory.is_dir():
            return directory
    raise FileNotFoundError(f"this installation has no {kind} directory")


def shipped_policies() -> tuple[Path, ...]:
    """Return the shipped policies in the order of their names."""
    return tuple(sorted(shipped("policies").glob("*.yaml")))


def find_policy(name_or_path: str) -> Path:
    """Return the file that a user means by a path, or by a shipped policy's name.

    A path wins over a name. The result is relative where it lies below the working directory.
    Raises PolicyNotFoundError.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    names = {file.stem: file for file in shipped_policies()}
    if name_or_path in names:
        return _shortest(names[name_or_path])
    word = path.stem if path.suffix in {".yaml", ".yml"} else name_or_path
    raise PolicyNotFoundError(
        name_or_path, did_you_mean(word, names) or f"shipped policies: {', '.join(names)}"
    )


def _shortest(path: Path) -> Path:
    here = Path(os.path.curdir).resolve()
    return path.relative_to(here) if path.is_relative_to(here) else path
