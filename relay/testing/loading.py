"""What a relay loads in threads, loaded in one: for pytest, which parses it as it is first loaded.

pytest parses the modules of every plugin's distribution for their assertions, once for each
version. Some versions of Python can't parse in two threads at once (CPython issue 106905): an
import then ends in a SystemError, and a receiver does not start, or a message stays queued.
"""

from __future__ import annotations

from importlib import import_module
from typing import Final

_MODULES: Final = (
    "relay.engine.tries",
    "relay.lab.chains",
    "relay.lab.fault_overlay",
    "relay.lab.listener",
    "relay.lab.name_server",
    "relay.lab.recipes",
    "relay.lookup.records",
)


def load_in_one_thread() -> None:
    """Load what a relay and its lab load in threads otherwise, when they are first used."""
    for module in _MODULES:
        import_module(module)
