"""Which scenarios this machine can't run, and why."""

from __future__ import annotations

import ssl
from importlib.util import find_spec
from typing import assert_never

from relay.lab.scripts import (
    AfterClientHello,
    HangUp,
    LabScenario,
    ServeLegacyTls,
    ServeTls,
)
from relay.lab.server_tls import missing_version

LEGACY_LIBRARY = "tlslite"


def why_unavailable(scenario: LabScenario) -> str | None:
    """Return what this machine lacks for a scenario, as a sentence; None where it lacks nothing."""
    name = scenario.card.name
    match scenario.script.handshake:
        case ServeTls() as script:
            version = missing_version(script)
            if version is None:
                return None
            return (
                f"{name} needs {version.label}, which this Python's OpenSSL "
                f"({ssl.OPENSSL_VERSION}) was built without"
            )
        case ServeLegacyTls():
            if find_spec(LEGACY_LIBRARY) is not None:
                return None
            return (
                f"{name} needs the library tlslite-ng, which is not installed: "
                "pip install 'relaylab[legacy-tls]'"
            )
        case AfterClientHello() | HangUp():
            return None
        case _:
            assert_never(scenario.script.handshake)
