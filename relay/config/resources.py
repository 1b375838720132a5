"""Where the files lie that come with the project: policies and certificate recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

_PACKAGE = Path(__file__).parent.parent


def shipped(kind: Literal["policies", "certs"]) -> Path:
    """Return the folder of shipped files: in an installed wheel, else in the repository."""
    installed = _PACKAGE / "shipped" / kind
    return installed if installed.is_dir() else _PACKAGE.parent / kind
