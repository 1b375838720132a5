"""aiosmtpd's constructor, run once for all sessions: it looks through every member of the class.

The first session is made by it, and what it leaves in the instance is the blueprint of the others.
"""

from __future__ import annotations

import asyncio
from typing import Final

from aiosmtpd.smtp import SMTP

from relay.inbound.errands import LIBRARY_VERBS

_OF_ONE_SESSION: Final = frozenset(
    {"command_size_limits", "loop", "_strong_reader", "_auth_methods", "_smtp_methods"}
)


class Blueprint:
    """Makes sessions of one service; all have the same `hostname` and `size_limit`."""

    def __init__(self, *, hostname: str, size_limit: int) -> None:
        self._hostname = hostname
        self._size_limit = size_limit
        self._common: dict[str, object] | None = None

    def construct(self, session: SMTP) -> None:
        """Do for a session what aiosmtpd's constructor does."""
        loop = asyncio.get_running_loop()
        # The class's own dictionary is shared by all sessions, and the constructor clears it.
        session.command_size_limits = {}
        if self._common is None:
            SMTP.__init__(
                session,
                None,
                hostname=self._hostname,
                ident="ESMTP",
                enable_SMTPUTF8=True,
                data_size_limit=self._size_limit,
                loop=loop,
            )
            self._common = _common_attributes(session, loop)
        else:
            reader = asyncio.StreamReader(limit=session.line_length_limit, loop=loop)
            asyncio.StreamReaderProtocol.__init__(
                session, reader, session._cb_client_connected, loop
            )
            vars(session).update(self._common)
            session.loop = loop
        # None of the library's other verbs can be reached, and no AUTH mechanism.
        session._auth_methods = {}
        session._smtp_methods = {verb: getattr(session, f"smtp_{verb}") for verb in LIBRARY_VERBS}


def _common_attributes(session: SMTP, loop: asyncio.AbstractEventLoop) -> dict[str, object]:
    of_protocol = vars(asyncio.StreamReaderProtocol(asyncio.StreamReader(loop=loop), loop=loop))
    return {
        name: value
        for name, value in vars(session).items()
        if name not in of_protocol and name not in _OF_ONE_SESSION
    }
