"""What every test shares: outside judges, and the rule that CI skips none of them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

UNPACKED_EXIM = Path(__file__).parents[1] / ".cache/exim/usr/sbin"
"""Where `tests/judges/unpack-exim` puts the judge that can't be installed beside Postfix."""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose outside judge is absent, by name; in CI that is a failure."""
    for marker in item.iter_markers("judge"):
        for name in marker.args:
            absent = _why_absent(name, needs_root=marker.kwargs.get("root", False))
            if absent is None:
                continue
            if os.environ.get("CI"):
                pytest.fail(absent, pytrace=False)
            pytest.skip(absent)


def _why_absent(name: str, *, needs_root: bool) -> str | None:
    elsewhere = f"/usr/sbin:/sbin:{UNPACKED_EXIM}"
    if not shutil.which(name) and not shutil.which(name, path=elsewhere):
        return f"the outside judge {name!r} is not installed"
    if needs_root and os.geteuid() != 0:
        return f"the outside judge {name!r} can be started by root alone"
    return None
