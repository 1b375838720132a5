"""Relaylab's listeners alone, without journal, policy and queue.

`listeners.py PORT LOOP`, the loop being asyncio or uvloop.
They take mail and forget it, so that this part can be compared with servers that discard.
"""

from __future__ import annotations

import asyncio
import itertools
import ssl
import sys
from datetime import UTC, datetime

from relay.core.codebook import CodeEntry
from relay.core.records import Session
from relay.core.replies import StatusCode
from relay.inbound.credentials import Credentials
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.limits import InboundLimits
from relay.inbound.listeners import ListenerConfig, Listeners

_TAKEN = CodeEntry(StatusCode(250, "2.0.0"), "Ok: discarded")


async def _accept(_incoming: Incoming) -> CodeEntry:
    return _TAKEN


async def _forget(_session: Session) -> None:
    """Keep no record of a session."""


async def main(port: int) -> None:
    """Serve until the process is ended."""
    numbers = itertools.count()
    listeners = Listeners(
        accept=_accept,
        session_sink=_forget,
        server_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        hostname="relay.bench.example",
        limits=InboundLimits(),
        credentials=Credentials.anybody(),
        now=lambda: datetime.now(UTC),
        new_id=lambda: f"s{next(numbers)}",
    )
    await listeners.start([ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=port)])
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[2] == "uvloop":
        import uvloop

        uvloop.run(main(int(sys.argv[1])))
    else:
        asyncio.run(main(int(sys.argv[1])))
