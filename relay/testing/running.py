"""A relay in a thread with an event loop of its own, for code that is not asynchronous."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from relay.core.records import Bounce, Session
from relay.engine.outcome_wait import Happened
from relay.lab.catalogue import SCENARIOS
from relay.lab.received import ReceivedMessage
from relay.testing.messages import Message
from relay.testing.policies import PolicySource
from relay.testing.relay import OutcomeName, Relay

T = TypeVar("T")


class _Loop:
    """Runs what other threads ask for in the relay's loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, relay: Relay) -> None:
        self._loop = loop
        self.relay: Final = relay

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and return its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def look(self, at: Callable[[Relay], T]) -> T:
        """Call a function there and return its result."""

        async def looked() -> T:
            return at(self.relay)

        return self.run(looked())


class RunningClock:
    """A relay's time, which stands still until it is advanced."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        """Return the relay's time, in UTC."""
        return self._loop.relay.clock.now()

    def advance(
        self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Let time pass; as `Clock.advance`."""
        clock = self._loop.relay.clock
        self._loop.run(clock.advance(days=days, hours=hours, minutes=minutes, seconds=seconds))

    def settle(self) -> None:
        """Return when nothing is being sent or due now; as `Clock.settle`."""
        self._loop.run(self._loop.relay.clock.settle())


class RunningLab:
    """The lab of a relay: its receivers, and what they took."""

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The names of all scenarios; `anyone@NAME.lab.test` leads to one."""
        return tuple(SCENARIOS)

    @property
    def ca_file(self) -> Path:
        """The root certificate that the honest receivers' certificates lead to, a PEM file."""
        return self._loop.relay.ca_file

    @property
    def ca_pem(self) -> str:
        """The content of `ca_file`."""
        return self._loop.relay.ca_pem

    def address(self, scenario: str = "capture") -> tuple[str, int]:
        """Return host and port of a receiver; as `Relay.address`."""
        return self._loop.run(self._loop.relay.address(scenario))

    def received(self, scenario: str = "capture") -> tuple[ReceivedMessage, ...]:
        """Return what a receiver took; as `Relay.received`."""
        return self._loop.look(lambda relay: relay.received(scenario))


class RunningRelay:
    """A `Relay` that runs in a thread of its own; its methods block and may be called anywhere.

    From asynchronous code they hold up the caller's loop; where that loop has to go on meanwhile,
    call them by `asyncio.to_thread`.
    """

    def __init__(self, loop: _Loop) -> None:
        self._loop = loop
        self._relay = loop.relay
        self._clock = RunningClock(loop)
        self._lab = RunningLab(loop)

    def __repr__(self) -> str:
        return f"<RunningRelay {self.smtp_url}>"

    @property
    def host(self) -> str:
        """As `Relay.host`."""
        return self._relay.host

    @property
    def port(self) -> int:
        """As `Relay.port`."""
        return self._relay.port

    @property
    def smtps_port(self) -> int:
        """As `Relay.smtps_port`."""
        return self._relay.smtps_port

    @property
    def submission_port(self) -> int:
        """As `Relay.submission_port`."""
        return self._relay.submission_port

    @property
    def smtp_url(self) -> str:
        """As `Relay.smtp_url`."""
        return self._relay.smtp_url

    @property
    def ca_file(self) -> Path:
        """As `Relay.ca_file`."""
        return self._relay.ca_file

    @property
    def ca_pem(self) -> str:
        """As `Relay.ca_pem`."""
        return self._relay.ca_pem

    @property
    def clock(self) -> RunningClock:
        """The relay's time."""
        return self._clock

    @property
    def lab(self) -> RunningLab:
        """The relay's lab."""
        return self._lab

    @property
    def messages(self) -> tuple[Message, ...]:
        """As `Relay.messages`."""
        return self._loop.look(lambda relay: relay.messages)

    @property
    def bounces(self) -> tuple[Bounce, ...]:
        """As `Relay.bounces`."""
        return self._loop.look(lambda relay: relay.bounces)

    @property
    def sessions(self) -> tuple[Session, ...]:
        """As `Relay.sessions`."""
        return self._loop.look(lambda relay: relay.sessions)

    def received(self, scenario: str = "capture") -> tuple[ReceivedMessage, ...]:
        """As `Relay.received`."""
        return self._lab.received(scenario)

    def address(self, scenario: str = "capture") -> tuple[str, int]:
        """As `Relay.address`."""
        return self._lab.address(scenario)

    def wait_for(
        self,
        outcome: OutcomeName,
        *,
        recipient: str | None = None,
        domain: str | None = None,
        code: str | None = None,
        timeout: float = 10.0,
    ) -> Happened:
        """As `Relay.wait_for`."""
        return self._loop.run(
            self._relay.wait_for(
                outcome, recipient=recipient, domain=domain, code=code, timeout=timeout
            )
        )

    def load_policy(
        self,
        policy: PolicySource,
        *,
        settings: Mapping[str, Any] | None = None,
        near: Path | None = None,
    ) -> None:
        """As `Relay.load_policy`."""
        self._loop.run(self._relay.load_policy(policy, settings=settings, near=near))

    def clear(self) -> None:
        """As `Relay.clear`."""
        self._loop.run(self._relay.clear())


@contextlib.contextmanager
def running(
    policy: PolicySource = "required-verify",
    *,
    settings: Mapping[str, Any] | None = None,
    lab: bool = True,
    port: int = 0,
    state: Path | None = None,
    certificates: Path | None = None,
    allow_external: bool = False,
) -> Iterator[RunningRelay]:
    """Run a relay in a thread of its own until the `with` ends; parameters as of `Relay`."""
    relay = Relay(
        policy,
        settings=settings,
        lab=lab,
        port=port,
        state=state,
        certificates=certificates,
        allow_external=allow_external,
    )
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    ended: Future[None] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        async with relay:
            started.set_result((asyncio.get_running_loop(), stop))
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # the caller's thread raises it
            (ended if started.done() else started).set_exception(error)
        else:
            ended.set_result(None)

    thread = threading.Thread(target=run, name="relay", daemon=True)
    thread.start()
    loop, stop = started.result()
    try:
        yield RunningRelay(_Loop(loop, relay))
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
    ended.result()
