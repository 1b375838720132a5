"""The running relay: everything that lives as long as it does, opened and closed in order."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from ssl import SSLContext
from types import TracebackType
from typing import TYPE_CHECKING, Self

from relay.core.clock import Clock
from relay.core.delivery import Policy
from relay.core.ids import IdMaker
from relay.core.records import Session
from relay.engine.accepting import Acceptor
from relay.engine.attempts import Attempts
from relay.engine.clock import SystemClock
from relay.engine.flags import Flags
from relay.engine.in_force import PolicyInForce
from relay.engine.later_tries import LaterTries
from relay.engine.observing import (
    ObservedWriter,
    Observer,
    Unobserved,
    WriteObserver,
    observers,
)
from relay.engine.pruning import Pruner
from relay.engine.queue import Queue
from relay.engine.records import Records
from relay.engine.returning import Returns
from relay.engine.rounds import Rounds
from relay.engine.server_certificate import ServerCertificate, lab_certificate
from relay.engine.settling import Settler
from relay.engine.steering import Steering
from relay.engine.telling import Teller, end_telling
from relay.inbound.credentials import Credentials
from relay.inbound.limits import InboundLimits
from relay.inbound.listeners import Endpoint, ListenerConfig, Listeners
from relay.inbound.server_tls import server_context
from relay.journal.api import Batch, JournalReader, JournalWriter, NewMessage
from relay.journal.contacts_store import CONTACTS_FILE, ContactsStore
from relay.journal.pruning import Keep, PruneReader
from relay.journal.sqlite_journal import open_journal
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.lab.lookups import LabLookups
from relay.lookup.mx import MxResolver
from relay.lookup.remembered import RememberedHosts
from relay.lookup.resolver import ChainedResolver, SystemResolver

if TYPE_CHECKING:
    from relay.core.fault_scripts import FaultScript
    from relay.notice.channel import Channel
    from relay.notice.notifier import Notifier
    from relay.notice.options import NoticeOptions

DEFAULT_HOSTNAME = "relay.lab.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """Everything about a relay that is not about mail: where it listens, where it keeps things.

    `certificates` is the directory of the lab's authority; `grace` bounds how long a stop waits for
    what is in hand. `seed` decides the order of hosts of equal preference. `notices` says who is
    told of what happens, besides senders. With `lab_scripts` the lab's receivers fail beyond what
    their scenarios do, from the start. `keep` bounds what the journal holds of settled mail.
    """

    listeners: tuple[ListenerConfig, ...]
    journal: Path
    bounce_lines: Path | None
    certificates: Path
    hostname: str = DEFAULT_HOSTNAME
    credentials: Credentials = field(default_factory=Credentials.anybody)
    limits: InboundLimits = field(default_factory=InboundLimits)
    allow_external: bool = False
    certificate: ServerCertificate | None = None
    grace: timedelta = timedelta(seconds=5)
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    notices: NoticeOptions | None = None
    lab_scripts: tuple[FaultScript, ...] = ()
    keep: Keep = field(default_factory=Keep)


class Relay:
    """A relay under one policy, with its lab; use it in `async with`.

    Opening raises ListenError, JournalError, AuthorityError, TrustError or NoticeError, and leaves
    nothing open.
    A `lab` that is handed in is not closed. `writes` hears of all that becomes durable; `channels`
    get the notices, where the options ask for any, besides those that the options name.
    """

    def __init__(
        self,
        policy: Policy,
        options: RelayOptions,
        *,
        lab: Lab | None = None,
        clock: Clock | None = None,
        observer: Observer | None = None,
        writes: WriteObserver | None = None,
        channels: Sequence[Channel] = (),
    ) -> None:
        self._first_policy = policy
        self._options = options
        self._given_lab = lab
        self._clock = clock or SystemClock()
        self._make_id = IdMaker(secrets.token_bytes)
        self._observer = observer or Unobserved()
        self._writes = writes
        self._channels = tuple(channels)
        self._server_certificate: ServerCertificate
        self._steering: Steering
        self._tries: LaterTries
        self._listeners: Listeners
        self._stack = contextlib.AsyncExitStack()
        self._in_force: PolicyInForce
        self._lab: Lab
        self._journal: JournalReader
        self._endpoints: tuple[Endpoint, ...] = ()

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._in_force.policy

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where the relay listens, in the order of the options."""
        return self._endpoints

    @property
    def seed(self) -> int:
        """What decides the order of hosts of equal preference."""
        return self._options.seed

    @property
    def lab(self) -> Lab:
        """The lab whose receivers answer for `*.lab.test`."""
        return self._lab

    @property
    def journal(self) -> JournalReader:
        """The records."""
        return self._journal

    @property
    def server_certificate(self) -> ServerCertificate:
        """What its listeners serve: the files of the options, or one of the lab's."""
        return self._server_certificate

    @property
    def steering(self) -> Steering:
        """What people may do to the mail that it has."""
        return self._steering

    @property
    def open_sessions(self) -> int:
        """How many clients are connected."""
        return self._listeners.sessions

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.__aexit__(kind, error, traceback)

    async def prepare(self) -> None:
        """Load what sends mail, beside the event loop; else the first message waits for that."""
        await self._tries.make()
        await self._lab.prepare()

    async def load(self, policy: Policy) -> None:
        """Put another policy in force for whatever is taken up from now on.

        What is in hand ends under the policy that it began under. Raises TrustError where a file
        that the policy names can't be used; then the policy of before stays in force.
        """
        self._in_force = await asyncio.to_thread(PolicyInForce.load, policy, self._lab.authority)
        self._tries.retire()

    def _new_id(self) -> str:
        return self._make_id(self._clock.now())

    async def _open_lab(self) -> Lab:
        """Return the lab, under the fault scripts of the options where there are any."""
        lab = self._given_lab
        if lab is None:
            authority = LabAuthority(self._options.certificates, now=self._clock.now)
            lab = await self._stack.enter_async_context(Lab(authority, now=self._clock.now))
        if self._options.lab_scripts:
            lab.load_scripts(self._options.lab_scripts)
        return lab

    async def _open(self) -> None:
        """Open from the inside out, so that closing begins with the listeners."""
        options = self._options
        journal = open_journal(options.journal, bounce_lines=options.bounce_lines)
        self._stack.push_async_callback(journal.close)
        self._journal = journal.reader
        self._lab = await self._open_lab()
        authority = self._lab.authority
        self._in_force = PolicyInForce.load(self._first_policy, authority)
        names = LabLookups(self._lab, client=options.hostname)
        await self._stack.enter_async_context(names)
        chance = random.Random(options.seed)  # noqa: S311  # spreads load, guards no secret
        writer = self._observed(journal.writer)
        records = Records(journal=writer, clock=self._clock)

        async def submit(message: NewMessage) -> None:
            await records.write(Batch(messages=(message,)))
            observer.accepted(message.envelope)
            queue.offer(message)

        notifier = await self._open_notifier(journal.reader, submit)
        observer = observers(self._observer, *([] if notifier is None else [notifier]))
        flags = Flags(
            journal=journal.reader,
            contacts=ContactsStore(options.journal.with_name(CONTACTS_FILE)),
        )
        returns = Returns(
            journal=journal.reader, flags=flags, policy=lambda: self.policy, new_id=self._new_id
        )
        rounds = Rounds(
            attempts=self._open_attempts(),
            settler=Settler(
                hostname=options.hostname, new_id=self._new_id, earlier_soft=flags.earlier_soft
            ),
            flags=flags,
            resolver=ChainedResolver(
                lab=self._lab,
                names=names,
                system=RememberedHosts(SystemResolver()),
                mx=MxResolver(
                    dns=lambda: self.policy.routing.dns,
                    own_name=options.hostname,
                    chance=chance,
                    allow_external=options.allow_external,
                ),
                chance=chance,
            ),
            listeners=lambda: self._endpoints,
            records=records,
            clock=self._clock,
            observer=observer,
        )
        queue = Queue(
            journal=journal.reader,
            rounds=rounds,
            records=records,
            in_force=lambda: self._in_force,
            clock=self._clock,
        )
        self._steering = Steering(
            journal=journal.reader, writer=writer, queue=queue, clock=self._clock
        )
        acceptor = Acceptor(
            hostname=options.hostname,
            in_force=lambda: self._in_force,
            rounds=rounds,
            returns=returns,
            journal=writer,
            clock=self._clock,
            new_id=self._new_id,
            observer=observer,
            queue=queue,
        )
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._stack.callback(tasks.create_task(records.run(), name="records").cancel)
        running = tasks.create_task(queue.run(), name="queue")
        self._stack.push_async_callback(self._stop_queue, queue, running)
        self._start_pruner(tasks, writer, queue)
        telling: asyncio.Task[None] | None = None
        if notifier is not None:
            telling = tasks.create_task(notifier.run(), name="notices")
            self._stack.callback(telling.cancel)

        async def keep(session: Session) -> None:
            await writer.write(Batch(sessions=(session,)))

        listeners = Listeners(
            accept=acceptor.accept,
            session_sink=keep,
            server_context=self._server_context(authority),
            hostname=options.hostname,
            limits=options.limits,
            credentials=options.credentials,
            now=self._clock.now,
            new_id=self._new_id,
            bare_line_ends=lambda: self._in_force.policy.delivery.bare_line_ends,
            refuse_recipient=returns.refusal,
        )
        self._endpoints = await listeners.start(options.listeners)
        self._listeners = listeners

        async def stop() -> None:
            """Let clients and queue end side by side, then notices: one grace for all of them."""
            self._tries.retire()
            grace = self._options.grace.total_seconds()
            until = asyncio.get_running_loop().time() + grace
            async with asyncio.TaskGroup() as closing:
                closing.create_task(listeners.stop(grace))
                closing.create_task(self._stop_queue(queue, running))
            if notifier is not None and telling is not None:
                await end_telling(notifier, telling, until=until)

        self._stack.push_async_callback(stop)

    def _observed(self, writer: JournalWriter) -> JournalWriter:
        return writer if self._writes is None else ObservedWriter(writer, self._writes)

    def _start_pruner(self, tasks: asyncio.TaskGroup, writer: JournalWriter, queue: Queue) -> None:
        keep = self._options.keep
        if keep.everything:
            return
        journal = PruneReader(self._options.journal)
        self._stack.callback(journal.close)
        pruner = Pruner(journal=journal, writer=writer, queue=queue, keep=keep, clock=self._clock)
        self._stack.callback(tasks.create_task(pruner.run(), name="pruning").cancel)

    def _open_attempts(self) -> Attempts:
        """Make what tries hosts; its idle sessions are closed when nothing is in hand any more."""
        self._tries = LaterTries(
            hostname=self._options.hostname,
            allow_external=self._options.allow_external,
            clock=self._clock,
            new_id=self._new_id,
        )
        self._stack.push_async_callback(self._tries.close)
        return Attempts(tries=self._tries, clock=self._clock, new_id=self._new_id)

    async def _open_notifier(
        self, journal: JournalReader, submit: Callable[[NewMessage], Awaitable[None]]
    ) -> Notifier | None:
        if self._options.notices is None:
            return None
        teller = Teller(
            hostname=self._options.hostname,
            allow_external=self._options.allow_external,
            journal=journal,
            policy=lambda: self.policy,
            submit=submit,
            clock=self._clock,
            new_id=self._new_id,
        )
        return await teller.open(self._options.notices, self._stack, also=self._channels)

    async def _stop_queue(self, queue: Queue, running: asyncio.Task[None]) -> None:
        """Let what is in hand be settled within the grace; the rest stays queued in the journal."""
        queue.stop()
        await asyncio.wait({running}, timeout=self._options.grace.total_seconds())
        running.cancel()

    def _server_context(self, authority: LabAuthority) -> SSLContext:
        certificate = self._certificate(authority)
        self._server_certificate = certificate
        return server_context(chain=certificate.chain, key=certificate.key)

    def _certificate(self, authority: LabAuthority) -> ServerCertificate:
        if self._options.certificate is not None:
            return self._options.certificate
        return lab_certificate(
            authority, self._options.certificates, self._options.hostname, now=self._clock.now()
        )
