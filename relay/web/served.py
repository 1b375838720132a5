"""A running relay as the management port sees it: what all of its routes work on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from relay.core.records import Session
from relay.engine.relay import Relay
from relay.journal.api import NotFound
from relay.journal.browsing import SqliteBrowser
from relay.journal.contacts_store import ContactsStore
from relay.web.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What keeps a file from being used that was read again, a line each; empty where it is used.

    `policy` is of the policy's file, `scripts` of the fault scripts', where the relay was started
    with one. Neither file waits for the other.
    """

    policy: tuple[str, ...] = ()
    scripts: tuple[str, ...] = ()


Reload = Callable[[], Awaitable[Kept]]
"""Reads all files again that the relay was started with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRelay:
    """What routes work on.

    `journal` is a reader of the port's own, to be used in threads, so that a long search holds up
    no mail. `policy_file` is the file that the relay was started with; no request names another
    one.
    """

    relay: Relay
    journal: SqliteBrowser
    contacts: ContactsStore
    live: Live
    policy_file: Path
    reload: Reload

    def session_of(self, session_id: str) -> Session | None:
        """Return the session of an id, None where it is not on record any more."""
        try:
            return self.journal.session(session_id)
        except NotFound:
            return None
