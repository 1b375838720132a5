"""What every test shares: helpers, outside judges, the rule that CI skips none, and the loop."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from relay.testing.loading import load_in_one_thread

# Each module of the tests has a name of its own, so that all rooms can share their helpers.
sys.path += [str(room) for room in sorted(Path(__file__).parent.iterdir()) if room.is_dir()]

LOOP = "RELAY_TEST_LOOP"
"""The environment variable that names the event loop of all tests: asyncio (default) or uvloop."""

# How long a busy machine takes to make an example, or to try it, tells nothing of the code. Under
# CI the library has a profile of its own, which says the same and is repeatable.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):
    settings.load_profile("any-speed")

UNPACKED_EXIM = Path(__file__).parents[1] / ".cache/exim/usr/sbin"
"""Where `tests/judges/unpack-exim` puts the judge that can't be installed beside Postfix."""


class UvloopForAll:
    """Lets every test run in uvloop's event loop."""

    def pytest_asyncio_loop_factories(self) -> Mapping[str, Callable[[], Any]]:
        import uvloop

        return {"uvloop": uvloop.new_event_loop}


def pytest_configure(config: pytest.Config) -> None:
    """Choose the event loop, and load what a relay loads in threads."""
    load_in_one_thread()
    match os.environ.get(LOOP, "asyncio"):
        case "asyncio":
            pass
        case "uvloop":
            config.pluginmanager.register(UvloopForAll())
        case other:
            raise pytest.UsageError(f"{LOOP} is asyncio or uvloop, not {other!r}")


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
