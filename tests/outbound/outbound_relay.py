"""The relay's side of a test: short-hands to open, admit and send."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import record_builders as build

from relay.core.addresses import Domain
from relay.core.outcomes import ConnectionFailure, ConnectionProblem, PeerRefusal, Stage
from relay.core.records import BodyType, Envelope
from relay.core.replies import Reply
from relay.core.routing import Hop
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TlsPolicy, TrustAnchors
from relay.outbound.session import Admitted, NotAdmitted, OutboundSession, SessionOptions
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores

DOMAIN = Domain("peer.test")


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Relay:
    """The relay's side of a test: opens, admits, and closes."""

    stores: TrustStores
    contexts: ClientContexts
    trust: TrustAnchors

    def policy(self, setting: TlsSetting) -> TlsPolicy:
        return TlsPolicy.for_setting(setting, trust=self.trust)

    async def open(
        self,
        hop: Hop,
        policy: TlsPolicy | TlsSetting = TlsSetting.PREFERRED,
        *,
        wait: float = 5.0,
        allow_external: bool = False,
    ) -> OutboundSession:
        if isinstance(policy, TlsSetting):
            policy = self.policy(policy)
        return await OutboundSession.open(
            hop,
            policy,
            options=SessionOptions(
                local_hostname="relay.lab.test",
                connect_timeout=timedelta(seconds=wait),
                command_timeout=timedelta(seconds=wait),
                allow_external=allow_external,
            ),
            contexts=self.contexts,
            now=utc_now,
            session_id="session-1",
        )

    async def admit(
        self, session: OutboundSession, policy: TlsPolicy | TlsSetting = TlsSetting.PREFERRED
    ) -> Admitted | NotAdmitted:
        if isinstance(policy, TlsSetting):
            policy = self.policy(policy)
        return await session.admit(
            policy, recipient_domain=DOMAIN, store=self.stores.store(policy.trust)
        )

    async def admitted(
        self, session: OutboundSession, policy: TlsPolicy | TlsSetting = TlsSetting.PREFERRED
    ) -> Admitted:
        admission = await self.admit(session, policy)
        assert isinstance(admission, Admitted)
        return admission


MESSAGE = b"Subject: test\r\n\r\nHello.\r\n"


def envelope(
    *,
    reverse_path: str = "sender@origin.test",
    recipients: tuple[str, ...] = ("one@peer.test",),
    smtputf8: bool = False,
    body: BodyType = BodyType.SEVEN_BIT,
) -> Envelope:
    return build.envelope(
        id="message-1",
        reverse_path=reverse_path,
        recipients=recipients,
        received_at=utc_now(),
        size=len(MESSAGE),
        body=body,
        smtputf8=smtputf8,
    )


def assert_failure(
    session: OutboundSession, stage: Stage, expected: Reply | ConnectionProblem
) -> None:
    """Assert that a session ended at this stage, by a reply or by the connection."""
    if isinstance(expected, Reply):
        assert session.failure == PeerRefusal(reply=expected, stage=stage)
    else:
        assert isinstance(session.failure, ConnectionFailure)
        assert (session.failure.problem, session.failure.stage) == (expected, stage)
