"""What every test shares: outside judges, and the rule that CI skips none of them."""

from __future__ import annotations

import os
import shutil

import pytest


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose outside judge is absent, by name; in CI that is a failure."""
    for marker in item.iter_markers("judge"):
        for name in marker.args:
            if shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"):
                continue
            if os.environ.get("CI"):
                pytest.fail(f"the outside judge {name!r} is not installed", pytrace=False)
            pytest.skip(f"the outside judge {name!r} is not installed")
