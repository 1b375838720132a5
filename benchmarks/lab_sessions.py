"""Many sessions with the lab's receivers at once, by the relay's own client, under Required Verify.

Each session opens, is judged, sends a small message where it is admitted, and is compared with the
scenario's card.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Final

from relay.core.addresses import parse_domain
from relay.core.faults import FaultKind
from relay.core.outcomes import ConnectionFailure, ConnectionProblem, Delivered, Failure, Stage
from relay.core.records import BodyType, Envelope, ReplyMode
from relay.core.routing import Hop, HostAddress
from relay.core.scenarios import Family
from relay.core.settings import TlsSetting
from relay.core.tls_policy import TlsPolicy
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS
from relay.lab.scripts import LabScenario
from relay.outbound.session import Admitted, OutboundSession, SessionOptions
from relay.tls.contexts import ClientContexts
from relay.tls.trust import TrustStores

BEFORE_TLS: Final = {Stage.BANNER, Stage.EHLO}
CONTENT: Final = b"From: sender@example.test\r\nSubject: load\r\n\r\nOne of many.\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionResult:
    """How one session went; `ended` is in seconds from the start of all.

    `timed_out`: the client gave the receiver up. `error` says what was not as on the card, None
    where everything was.
    """

    scenario: str
    ended: float
    delivered: bool
    timed_out: bool
    error: str | None


async def run_sessions(
    receivers: Mapping[str, HostAddress],
    authority: LabAuthority,
    *,
    count: int,
    time_out: timedelta,
) -> tuple[SessionResult, ...]:
    """Open `count` sessions at the same time, spread evenly over `receivers`, and end them all.

    `time_out` is how long a client waits for each answer; it bounds the whole.
    """
    stores = TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
    clients = _Clients(stores=stores, time_out=time_out)
    names = islice(cycle(receivers), count)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(clients.session(name, receivers[name])) for name in names]
    return tuple(task.result() for task in tasks)


class _Clients:
    def __init__(self, *, stores: TrustStores, time_out: timedelta) -> None:
        self._policy = TlsPolicy.for_setting(TlsSetting.REQUIRED_VERIFY)
        self._store = stores.store(self._policy.trust)
        self._contexts = ClientContexts(stores)
        self._options = SessionOptions(
            local_hostname="relay.lab.test",
            connect_timeout=time_out,
            command_timeout=time_out,
            allow_external=False,
        )
        self._begun = time.perf_counter()

    async def session(self, name: str, host: HostAddress) -> SessionResult:
        scenario = CAPTURE if name == CAPTURE.card.name else LAB_SCENARIOS[name]
        session = await OutboundSession.open(
            Hop(host=host.name, address=host.address, port=host.port, mode=host.mode),
            self._policy,
            options=self._options,
            contexts=self._contexts,
            now=lambda: datetime.now(UTC),
            session_id=name,
        )
        failure = session.failure
        delivered = False
        if failure is None:
            domain = scenario.card.mail_domain
            judged = await session.admit(
                self._policy, recipient_domain=parse_domain(domain), store=self._store
            )
            if isinstance(judged, Admitted):
                recipient = f"anyone@{domain}"
                (sent,) = await judged.send(_envelope(recipient), [recipient], CONTENT)
                delivered = isinstance(sent.outcome, Delivered)
                failure = None if delivered else getattr(sent.outcome, "failure", None)
        await session.close()
        faults = tuple(fault.kind for fault in session.record().faults)
        return SessionResult(
            scenario=name,
            ended=time.perf_counter() - self._begun,
            delivered=delivered,
            timed_out=_timed_out(failure, faults),
            error=_difference(scenario, session.failure, faults, delivered=delivered),
        )


def _timed_out(failure: Failure | None, faults: tuple[FaultKind, ...]) -> bool:
    match failure:
        case ConnectionFailure(problem=ConnectionProblem.TIMEOUT):
            return True
        case _:
            silent = {FaultKind.HANDSHAKE_TIMEOUT, FaultKind.STARTTLS_NO_ANSWER}
            return bool(silent.intersection(faults))


def _difference(
    scenario: LabScenario,
    failure: Failure | None,
    faults: tuple[FaultKind, ...],
    *,
    delivered: bool,
) -> str | None:
    card = scenario.card
    if failure is not None:
        expected = card.stage in BEFORE_TLS and failure.stage is card.stage
        return None if expected else f"ended at {failure.stage.value}"
    if scenario.rotation:
        return None
    if faults != card.faults:
        return f"found {[kind.value for kind in faults]}"
    if card.family is not Family.SMTP and delivered is bool(faults):
        return "delivered" if delivered else "not delivered"
    return None


def _envelope(recipient: str) -> Envelope:
    return Envelope(
        id="load",
        reverse_path="sender@example.test",
        recipients=(recipient,),
        received_at=datetime.now(UTC),
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        body=BodyType.SEVEN_BIT,
        smtputf8=False,
        reply_mode=ReplyMode.INLINE,
        policy="benchmark",
        policy_sha256="",
    )
