"""Relaylab: a local SMTP relay that enforces TLS policy, and a lab that breaks SMTP TLS.

The names of `__all__` are the public interface in Python; every other module may change. They are
imported when first asked for, so that `import relay` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from relay.config.policy_file import PolicyNotFoundError
    from relay.config.problems import PolicyFileError
    from relay.core.records import Bounce, Session
    from relay.core.settings import TlsSetting
    from relay.engine.outcome_wait import Happened
    from relay.lab.received import ReceivedMessage
    from relay.testing.messages import Message
    from relay.testing.relay import Clock, Relay
    from relay.testing.running import RunningClock, RunningLab, RunningRelay, running

__version__ = "0.1.0"
__all__ = [
    "Bounce",
    "Clock",
    "Happened",
    "Message",
    "PolicyFileError",
    "PolicyNotFoundError",
    "ReceivedMessage",
    "Relay",
    "RunningClock",
    "RunningLab",
    "RunningRelay",
    "Session",
    "TlsSetting",
    "__version__",
    "running",
]

_HOMES = {
    "Bounce": "relay.core.records",
    "Clock": "relay.testing.relay",
    "Happened": "relay.engine.outcome_wait",
    "Message": "relay.testing.messages",
    "PolicyFileError": "relay.config.problems",
    "PolicyNotFoundError": "relay.config.policy_file",
    "ReceivedMessage": "relay.lab.received",
    "Relay": "relay.testing.relay",
    "RunningClock": "relay.testing.running",
    "RunningLab": "relay.testing.running",
    "RunningRelay": "relay.testing.running",
    "Session": "relay.core.records",
    "TlsSetting": "relay.core.settings",
    "running": "relay.testing.running",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
