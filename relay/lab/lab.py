"""The lab: receivers that start when first asked for, and what they have received."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Self

from relay.core.routing import HostAddress
from relay.lab.authority import LabAuthority
from relay.lab.availability import why_unavailable
from relay.lab.catalogue import CAPTURE, LAB_SCENARIOS, find_receiver, find_scenario
from relay.lab.loading import load_for, load_receivers
from relay.lab.scripts import LabScenario, ServeTls

if TYPE_CHECKING:
    from relay.core.fault_scripts import FaultScript
    from relay.lab.fault_overlay import RunningScripts
    from relay.lab.listener import Certificate, ScenarioListener
    from relay.lab.received import ReceivedMessage, ReceivedSession
    from relay.lab.recipes import Recipe

IDLE_SECONDS: Final = 300.0
"""How long a client may stay silent; RFC 5321 section 4.5.3.2.7 asks for five minutes."""


class ScenarioUnavailable(Exception):  # noqa: N818 - a fact about this machine, not a mistake
    """This machine can't run the scenario; the text says why."""


class LabPortError(Exception):
    """A receiver can't listen where it was told to; the text says where and why."""


class Lab:
    """All receivers; an asynchronous context manager that closes them at its end.

    `ports` gives fixed ports by scenario name (`capture` for the capture receiver); all others are
    the system's choice. `addresses` gives numeric addresses likewise; all others listen on `bind`.
    A receiver starts when its address is first asked for. `recipes` are those that come with the
    project unless others are given. `hosts` gives host names by scenario, which the certificates
    then bear; `certificates` gives certificates that are none of the lab's.
    """

    def __init__(
        self,
        authority: LabAuthority,
        *,
        now: Callable[[], datetime],
        bind: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        addresses: Mapping[str, str] | None = None,
        recipes: Mapping[str, Recipe] | None = None,
        hosts: Mapping[str, str] | None = None,
        certificates: Mapping[str, Certificate] | None = None,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._authority = authority
        self._now = now
        self._bind = bind
        self._ports = ports or {}
        self._addresses = addresses or {}
        self._given_recipes = recipes
        self._hosts = hosts or {}
        self._given_certificates = certificates or {}
        self._idle_seconds = idle_seconds
        self._fault_scripts: RunningScripts | None = None
        self._listeners: dict[str, ScenarioListener] = {}
        self._endpoints: dict[str, HostAddress] = {}
        self._starting = asyncio.Lock()
        self._change = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()

    async def prepare(self) -> None:
        """Load what receivers are made of, beside the event loop; else the first one waits."""
        await load_receivers()

    async def close(self) -> None:
        """Stop every receiver and end its sessions; what was received stays readable."""
        async with self._starting:
            self._closed = True
            self._endpoints.clear()
            await asyncio.gather(*(listener.close() for listener in self._listeners.values()))

    @property
    def now(self) -> Callable[[], datetime]:
        """The clock that sessions and messages have their times from."""
        return self._now

    @property
    def authority(self) -> LabAuthority:
        """Who issued the receivers' certificates."""
        return self._authority

    @property
    def endpoints(self) -> Mapping[str, HostAddress]:
        """Where the running receivers listen, by scenario name."""
        return MappingProxyType(self._endpoints)

    @property
    def deaf(self) -> tuple[str, ...]:
        """The receivers that were started and do not listen, by scenario name."""
        return tuple(name for name, found in self._listeners.items() if not found.listens)

    async def address(self, name: str) -> HostAddress:
        """Return where a scenario's receiver listens, starting it if need be.

        Raises UnknownScenario, NoReceiver, ScenarioUnavailable or LabPortError.
        """
        return await self._start(find_receiver(name))

    async def add(self, scenario: LabScenario, certificate: Certificate) -> HostAddress:
        """Start a receiver that is not in the catalogue, with this certificate; return where.

        From then on its name is known here. Raises ValueError for a name of the catalogue,
        LabPortError.
        """
        if scenario.card.name in {*LAB_SCENARIOS, CAPTURE.card.name}:
            raise ValueError(f"the catalogue has a scenario {scenario.card.name!r}")
        return await self._start(scenario, (certificate,))

    async def capture_address(self) -> HostAddress:
        """Return where the capture receiver listens, starting it if need be."""
        return await self._start(CAPTURE)

    async def start_all(self) -> Mapping[str, HostAddress]:
        """Start the capture receiver and every scenario that this machine can run."""
        await self.capture_address()
        for name in LAB_SCENARIOS:
            with suppress(ScenarioUnavailable):
                await self.address(name)
        return self.endpoints

    def received(self, name: str) -> tuple[ReceivedSession, ...]:
        """Return the sessions of a receiver, the oldest first; none if it never started.

        Raises UnknownScenario.
        """
        listener = self._listener(name)
        return listener.store.snapshot() if listener else ()

    def messages(self, name: str) -> tuple[ReceivedMessage, ...]:
        """Return the messages that a receiver took, session by session; raise UnknownScenario."""
        return tuple(message for session in self.received(name) for message in session.messages)

    @property
    def scripts(self) -> tuple[FaultScript, ...]:
        """The fault scripts in force."""
        return () if self._fault_scripts is None else self._fault_scripts.scripts

    def load_scripts(self, scripts: Sequence[FaultScript]) -> None:
        """Put these fault scripts in the place of all others, from their beginning.

        Open sessions follow them from their next phase on. Raises UnknownScenario, NoReceiver, or
        ValueError for two scripts of one scenario; then those of before stay.
        """
        for script in scripts:
            if script.scenario not in {*self._listeners, CAPTURE.card.name}:
                find_receiver(script.scenario)
        self._running_scripts().load(scripts)

    def clear_scripts(self) -> None:
        """Put all fault scripts out of force."""
        self._running_scripts().load(())

    def reset(self) -> None:
        """Forget everything that was received, and begin anew what goes by turns.

        That includes the fault scripts' counters, times and chance. Receivers and open sessions go
        on.
        """
        self._running_scripts().reset()
        for listener in self._listeners.values():
            listener.reset()

    async def wait_for_message(
        self,
        name: str,
        *,
        where: Callable[[ReceivedMessage], bool] = lambda _: True,
        within: float = 5.0,
    ) -> ReceivedMessage:
        """Return the first message that `where` accepts; TimeoutError after `within` seconds."""
        async with asyncio.timeout(within):
            while True:
                for message in self.messages(name):
                    if where(message):
                        return message
                await self._change.wait()

    async def wait_for_change(self, *, within: float) -> None:
        """Return when a message was kept or a session has ended, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._change.wait()

    async def wait_until_idle(self, name: str, *, within: float = 5.0) -> None:
        """Return when no session of a receiver is open, so that its record is complete.

        Raises TimeoutError after `within` seconds.
        """
        async with asyncio.timeout(within):
            while (listener := self._listener(name)) and not listener.idle:
                await self._change.wait()

    def _listener(self, name: str) -> ScenarioListener | None:
        """Return a receiver, None if it never started; raise UnknownScenario."""
        if name not in self._listeners and name != CAPTURE.card.name:
            find_scenario(name)
        return self._listeners.get(name)

    def _changed(self) -> None:
        """Wake whoever waits for a change."""
        self._change.set()
        self._change = asyncio.Event()

    def _certificates(self, scenario: LabScenario) -> tuple[Certificate, ...]:
        card = scenario.card
        if given := self._given_certificates.get(card.name):
            return (given,)
        names = scenario.rotation or ((card.recipe,) if card.recipe else ())
        return tuple(
            partial(self._authority.issue, self._recipe(name), card.host) for name in names
        )

    def _running_scripts(self) -> RunningScripts:
        if self._fault_scripts is None:
            # Loaded with the first receiver or script, not with the relay.
            from relay.lab.fault_overlay import RunningScripts

            self._fault_scripts = RunningScripts(self._now)
        return self._fault_scripts

    def _recipe(self, name: str) -> Recipe:
        from relay.lab.recipes import shipped_recipes

        return (self._given_recipes or shipped_recipes())[name]

    def _named_certificate(self, scenario: LabScenario) -> Certificate | None:
        """Return what clients see that send the host's name, where that is something else."""
        match scenario.script.handshake:
            case ServeTls(named_recipe=str() as name):
                return partial(self._authority.issue, self._recipe(name), scenario.card.host)
            case _:
                return None

    async def _start(
        self, scenario: LabScenario, certificates: tuple[Certificate, ...] | None = None
    ) -> HostAddress:
        """Start a receiver, with the certificates of its card unless others are given."""
        name = scenario.card.name
        if host := self._hosts.get(name):
            scenario = replace(scenario, card=replace(scenario.card, host_name=host))
        async with self._starting:
            if self._closed:
                raise RuntimeError("the lab is closed")
            if name in self._endpoints:
                return self._endpoints[name]
            if reason := why_unavailable(scenario):
                raise ScenarioUnavailable(reason)
            if not self._listeners:
                await load_receivers()
            await load_for(scenario)
            from relay.lab.listener import ScenarioListener

            listener = ScenarioListener(
                scenario,
                certificates=certificates or self._certificates(scenario),
                named_certificate=self._named_certificate(scenario),
                decide=partial(self._running_scripts().decide, name),
                now=self._now,
                changed=self._changed,
                idle_seconds=self._idle_seconds,
            )
            bind, port = self._addresses.get(name, self._bind), self._ports.get(name, 0)
            try:
                address = await listener.start(bind, port)
            except OSError as error:
                raise LabPortError(
                    f"the lab's receiver {name} can't listen on {bind}:{port}: "
                    f"{os.strerror(error.errno) if error.errno else error}"
                ) from error
            self._listeners[name] = listener
            self._endpoints[name] = address
            return address
