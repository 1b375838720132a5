"""The relay's own sessions with a receiver of the lab."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from relay.core.routing import Hop
from relay.core.tls_policy import TlsPolicy
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.outbound.opening import SessionOptions
from relay.outbound.session import OutboundSession
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores


async def open_session(
    lab: Lab,
    authority: LabAuthority,
    name: str,
    policy: TlsPolicy,
    *,
    patience: timedelta = timedelta(seconds=5),
) -> tuple[OutboundSession, TrustStores]:
    """Return a session with this scenario's receiver, up to the handshake, and who is trusted.

    `patience` is how long a command may wait for its reply.
    """
    host = await lab.address(name)
    stores = TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
    session = await OutboundSession.open(
        Hop(host=host.name, address=host.address, port=host.port, mode=host.mode),
        policy,
        options=SessionOptions(
            local_hostname="relay.test",
            connect_timeout=timedelta(seconds=5),
            command_timeout=patience,
            allow_external=False,
        ),
        contexts=ClientContexts(stores),
        now=lambda: datetime.now(UTC),
        session_id="test",
    )
    return session, stores
