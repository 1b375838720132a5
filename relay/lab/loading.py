"""What receivers are made of, loaded beside the event loop: it takes long, and mail goes on."""

from __future__ import annotations

import asyncio
import warnings
from contextlib import suppress
from importlib import import_module

from relay.lab.scripts import LabScenario, ServeLegacyTls


async def load_receivers() -> None:
    """Load what every receiver and certificate is made of."""
    await asyncio.to_thread(_load_receivers)


async def load_for(scenario: LabScenario) -> None:
    """Load what only the receiver of this scenario is made of; nothing for most."""
    if not isinstance(scenario.script.handshake, ServeLegacyTls):
        return
    # What is set aside here is set aside for every thread, so that it must not happen in another.
    with warnings.catch_warnings(), suppress(ImportError):
        warnings.simplefilter("ignore", DeprecationWarning)
        # tlslite-ng imports this module of the standard library, for uses that are not ours.
        import_module("asyncore")
    await asyncio.to_thread(import_module, "relay.lab.legacy_tls")


async def load_name_server() -> None:
    """Load what the lab's name server is made of."""
    await asyncio.to_thread(import_module, "relay.lab.name_server")


def _load_receivers() -> None:
    from relay.lab import chains, fault_overlay, listener  # noqa: F401
    from relay.lab.recipes import shipped_recipes

    shipped_recipes()
