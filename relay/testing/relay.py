"""A relay and its lab in the event loop of whoever uses it: the public face of the engine."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, Self, get_args

from relay.core.addresses import parse_domain
from relay.core.records import Bounce, Session
from relay.core.routing import HostAddress
from relay.engine.outcome_wait import Awaited, Happened, Wish
from relay.engine.relay import Relay as EngineRelay
from relay.engine.relay import RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.journal.api import JournalReader, RecipientState, RecipientStatus
from relay.journal.sqlite_reader import code_parts
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import NoReceiver
from relay.lab.lab import Lab
from relay.lab.received import ReceivedMessage
from relay.testing.hearing import Hearing
from relay.testing.messages import (
    Message,
    bounces_of,
    is_at_rest,
    messages_of,
    records_of,
    sessions_of,
)
from relay.testing.policies import PolicySource, read_policy
from relay.testing.turned_clock import TurnedClock

OutcomeName = Literal["delivered", "deferred", "bounced", "tls-failed"]
"""What may be waited for; `deferred` is a try without delivery that others may follow."""

REST: Final = 60.0
"""Seconds that tries in hand may take before nobody waits for them any more."""


class Clock:
    """A relay's time, which stands still until it is advanced."""

    def __init__(self, clock: TurnedClock, hearing: Hearing, journal: JournalReader) -> None:
        self._clock = clock
        self._hearing = hearing
        self._journal = journal

    def now(self) -> datetime:
        """Return the relay's time, in UTC."""
        return self._clock.now()

    async def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass, and return when everything that falls into it was done.

        Each try is made at the time that it is due, one after another. Raises ValueError for a time
        that lies back, TimeoutError when a try takes longer than a minute of real time.
        """
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        if span < timedelta(0):
            raise ValueError("the relay's time goes on, never back")
        until = self._clock.now() + span
        await self.settle()
        while due := self._journal.due(until, 1):
            await self._clock.turn_to(due[0].next_at)
            await self.settle()
        await self._clock.turn_to(until)

    async def settle(self) -> None:
        """Return when nothing is being sent or due now; raise TimeoutError after a minute."""
        try:
            await self._hearing.until(
                lambda: is_at_rest(self._journal, self._clock.now()), within=REST
            )
        except TimeoutError:
            raise TimeoutError(f"the relay is still sending after {REST:.0f} s") from None


class _NoLab(Lab):
    """A lab where nobody is found."""

    async def address(self, name: str) -> HostAddress:
        raise NoReceiver("this relay has no lab")

    async def capture_address(self) -> HostAddress:
        raise NoReceiver("this relay has no lab")


class Relay:
    """A relay under one policy, with its lab, on a free port of 127.0.0.1; use it in `async with`.

    `policy` is a shipped policy's name, a path, YAML text, its data, or a setting; `settings` take
    the place of the policy's own keys. Without `lab`, mail that the policy leads there finds no
    host. The journal and, unless `certificates` names another directory, the lab's authority lie
    below `state`, by default in a temporary directory that is gone at the end. With `port` 0 the
    system chooses one; the other ports are always its choice. Mail leaves this machine and its
    private networks only with `allow_external`. Opening raises PolicyFileError,
    PolicyNotFoundError, ListenError.
    """

    def __init__(
        self,
        policy: PolicySource = "required-verify",
        *,
        settings: Mapping[str, Any] | None = None,
        lab: bool = True,
        port: int = 0,
        state: Path | None = None,
        certificates: Path | None = None,
        allow_external: bool = False,
    ) -> None:
        self._policy = policy
        self._settings = settings
        self._with_lab = lab
        self._port = port
        self._state = state
        self._certificates = certificates
        self._allow_external = allow_external
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None]
        self._turned = TurnedClock()
        self._hearing = Hearing()
        self._cleared_at: datetime | None = None
        self._relay: EngineRelay
        self._clock: Clock

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        opened: asyncio.Future[None] = loop.create_future()
        # The engine's task group must not wrap what the caller's block raises.
        self._serving = loop.create_task(self._serve(opened), name="relay")
        try:
            await asyncio.wait({opened, self._serving}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._serving.cancel()
            raise
        if not opened.done():
            await self._serving
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._stop.set()
        await self._serving

    async def _serve(self, opened: asyncio.Future[None]) -> None:
        async with contextlib.AsyncExitStack() as stack:
            await self._open(stack)
            opened.set_result(None)
            await self._stop.wait()

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        policy = read_policy(self._policy, self._settings)
        state = self._state or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="relaylab-"))
        )
        certificates = self._certificates or state / "certs"
        options = RelayOptions(
            listeners=tuple(
                ListenerConfig(
                    kind=kind,
                    host="127.0.0.1",
                    port=self._port if kind is ListenerKind.SMTP else 0,
                )
                for kind in ListenerKind
            ),
            journal=state / "journal.sqlite3",
            bounce_lines=None,
            certificates=certificates,
            allow_external=self._allow_external,
            grace=timedelta(seconds=1),
            seed=1,
        )
        authority = LabAuthority(certificates, now=self._turned.now)
        made = Lab if self._with_lab else _NoLab
        lab = await stack.enter_async_context(made(authority, now=self._turned.now))
        self._relay = await stack.enter_async_context(
            EngineRelay(
                policy,
                options,
                lab=lab,
                clock=self._turned,
                observer=self._hearing,
                writes=self._hearing,
            )
        )
        self._clock = Clock(self._turned, self._hearing, self._relay.journal)

    @property
    def host(self) -> str:
        """The address that it listens on."""
        return self._relay.endpoints[0].host

    @property
    def port(self) -> int:
        """The port for SMTP: in clear, STARTTLS offered, no AUTH."""
        return self._port_of(ListenerKind.SMTP)

    @property
    def smtps_port(self) -> int:
        """The port for SMTP within TLS from the first octet; AUTH takes any user and password."""
        return self._port_of(ListenerKind.SMTPS)

    @property
    def submission_port(self) -> int:
        """The port for submission: STARTTLS, then AUTH, which takes any user and password."""
        return self._port_of(ListenerKind.SUBMISSION)

    def _port_of(self, kind: ListenerKind) -> int:
        return next(e.port for e in self._relay.endpoints if e.kind is kind)

    @property
    def smtp_url(self) -> str:
        """Host and port as `smtp://127.0.0.1:PORT`."""
        return f"smtp://{self.host}:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The root certificate of the lab and of this relay's own certificate, a PEM file."""
        return self._relay.lab.authority.root_path

    @property
    def ca_pem(self) -> str:
        """The content of `ca_file`."""
        return self._relay.lab.authority.root_pem.decode("ascii")

    @property
    def clock(self) -> Clock:
        """The relay's time."""
        return self._clock

    @property
    def messages(self) -> tuple[Message, ...]:
        """What clients handed in, the oldest first."""
        return tuple(messages_of(self._relay.journal))

    @property
    def bounces(self) -> tuple[Bounce, ...]:
        """Delayed and final failures, one for each recipient and try, the oldest first."""
        return bounces_of(self._relay.journal)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Connections in and out that have ended, the oldest first; those of before `clear` not."""
        since = self._cleared_at
        found = sessions_of(self._relay.journal)
        return found if since is None else tuple(s for s in found if s.started_at >= since)

    def received(self, scenario: str = "capture") -> tuple[ReceivedMessage, ...]:
        """Return what a receiver of the lab took; raise UnknownScenario, a LookupError."""
        return self._relay.lab.messages(scenario)

    async def address(self, scenario: str = "capture") -> tuple[str, int]:
        """Return host and port of a receiver of the lab, for a client to connect to directly.

        Raises UnknownScenario and NoReceiver, which are LookupErrors, and ScenarioUnavailable.
        """
        lab = self._relay.lab
        found = await (lab.capture_address() if scenario == "capture" else lab.address(scenario))
        return found.address, found.port

    async def wait_for(
        self,
        outcome: OutcomeName,
        *,
        recipient: str | None = None,
        domain: str | None = None,
        code: str | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - a part of what is asked for, not a guard
    ) -> Happened:
        """Return the first thing since the start or `clear` to which all of this applies.

        `code` is a reply code, an enhanced one, or both: "451", "4.7.5", "451 4.7.5". `timeout` is
        in seconds of real time. Raises TimeoutError, which says where every recipient stands, and
        ValueError for an outcome or code that is none.
        """
        word: str = outcome
        if word == Awaited.NONE.value:
            raise ValueError("what does not happen can't be waited for; look at `bounces`")
        if word not in get_args(OutcomeName):
            allowed = ", ".join(get_args(OutcomeName))
            raise ValueError(f"{word!r} can't be waited for; allowed: {allowed}")
        awaited = Awaited(outcome)
        if code is not None:
            code_parts(code)
        wish = Wish(
            awaited=awaited,
            book=lambda: self._relay.policy.codes,
            recipient=recipient,
            domain=None if domain is None else parse_domain(domain),
            code=code,
        )
        try:
            return await self._hearing.first(wish, within=timeout)
        except TimeoutError:
            asked = {"recipient": recipient, "domain": domain, "code": code}
            self._nothing(outcome, {k: v for k, v in asked.items() if v is not None}, timeout)

    def _nothing(self, outcome: str, asked: Mapping[str, str], within: float) -> NoReturn:
        marks = "".join(f", {name} {value!r}" for name, value in asked.items())
        lines = [f"not {outcome} within {within:g} s{marks}"]
        lines += self._standing() or ["the relay has no message"]
        raise TimeoutError("\n".join(lines)) from None

    def _standing(self) -> list[str]:
        return [
            f"{status.recipient}: {self._state_of(status)}"
            for record in records_of(self._relay.journal)
            for status in record.recipients
        ]

    def _state_of(self, status: RecipientStatus) -> str:
        if status.state is not RecipientState.QUEUED or status.next_at is None:
            return status.state.value
        left = status.next_at - self._turned.now()
        if left <= timedelta(0):
            return "being tried"
        return f"queued; next try in {left}, by clock.advance()"

    async def load_policy(
        self,
        policy: PolicySource,
        *,
        settings: Mapping[str, Any] | None = None,
        near: Path | None = None,
    ) -> None:
        """Put another policy in force for what is taken up from now on.

        A path is looked for below the directory `near` first. Raises as opening does; then the
        policy of before stays in force.
        """
        await self._relay.load(read_policy(policy, settings, near=near))

    async def clear(self) -> None:
        """Forget all mail and sessions, what the lab received, and its fault scripts.

        What is being sent is waited for; the clock is set right, and kept connections are given up.
        The policy stays. Raises TimeoutError when a try takes longer than a minute.
        """
        await self._clock.settle()
        await self._relay.load(self._relay.policy)
        journal, steering = self._relay.journal, self._relay.steering
        async with asyncio.timeout(REST):
            while True:
                deleted = await steering.delete(
                    lambda: {r.envelope.id: r.recipients for r in records_of(journal)},
                    unused_sessions=True,
                )
                if not deleted.in_hand:
                    break
                # A message leaves the queue's hands right behind its last record.
                await asyncio.sleep(0.005)
        self._relay.lab.clear_scripts()
        self._relay.lab.reset()
        self._hearing.forget()
        self._turned.set_right()
        self._cleared_at = self._turned.now()
