"""Sends one marked message for each scenario through any relay, and watches the lab's receivers.

The known-good message goes first. Then all others go at once, and the receivers are watched until
every scenario is settled or the wait is over. `relay.audit.proof` judges; nothing here does.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from relay.audit.promises import KNOWN_GOOD, PROMISES, Promise
from relay.audit.proof import (
    MARK_FORM,
    Marked,
    Reported,
    ScenarioProof,
    Told,
    bears,
    is_settled,
    judge_scenario,
)
from relay.core.records import Reading
from relay.core.routing import HostAddress
from relay.core.settings import TlsSetting
from relay.formats.dsn_reading import read_report
from relay.lab.lab import Lab, ScenarioUnavailable
from relay.lab.received import ReceivedSession

_LOOK_AGAIN: Final = 0.5
"""Seconds after which the receivers are looked at although they told of nothing."""
_AT_ONCE: Final = 8
"""Messages handed over at the same time: mail servers limit a client's connections."""


class NotConnectedError(Exception):
    """The relay under test took no connection, so that nothing of the message was said to it."""


class Sender(Protocol):
    """Whoever gets the messages to the relay under test."""

    @property
    def by_hand(self) -> bool:
        """Whether somebody else writes the messages, in an order of their own."""
        ...

    async def send(self, marked: Marked) -> Reported | None:
        """Hand over a message; return what the relay said of it, None for nothing yet.

        Raises NotConnectedError.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioRecord:
    """One scenario of a proof: what was sent, what was said, what the receivers kept.

    `sessions` are those of the scenario's own receiver, and others that bear its mark.
    """

    marked: Marked
    unavailable: str | None
    reported: Reported | None
    sessions: tuple[ReceivedSession, ...]
    proof: ScenarioProof


@dataclass(slots=True)
class _Case:
    """A scenario in progress; what its receiver saw before `since` was somebody else's doing."""

    marked: Marked
    since: datetime
    unavailable: str | None = None
    reported: Reported | None = None
    handing_over: bool = False
    unsent: bool = False


Progress = Callable[[Mapping[str, ScenarioProof]], None]
"""Told of every scenario's verdict as it stands, inconclusive ones among them."""


class Prover:
    """One run of a proof.

    `marked` begins with the known-good message. A receiver that this machine can't run is named
    in the result; LabPortError, for one that can't listen, ends the run.
    """

    def __init__(
        self,
        lab: Lab,
        sender: Sender,
        claim: TlsSetting,
        marked: Sequence[Marked],
        *,
        wait: timedelta,
        progress: Progress = lambda _: None,
    ) -> None:
        if not marked or marked[0].scenario != KNOWN_GOOD:
            raise ValueError(f"a proof begins with {KNOWN_GOOD}")
        self._lab = lab
        self._sender = sender
        self._promises = promises_of(claim)
        self._cases = [_Case(one, since=datetime.now(UTC)) for one in marked]
        self._wait = wait.total_seconds()
        self._progress = progress
        self._slots = asyncio.Semaphore(_AT_ONCE)

    async def start(self) -> Mapping[str, HostAddress]:
        """Start the receivers; return where they listen, by scenario."""
        found = {}
        for case in self._cases:
            try:
                found[case.marked.scenario] = await self._lab.address(case.marked.scenario)
            except ScenarioUnavailable as error:
                case.unavailable = str(error)
        return found

    async def run(self) -> tuple[ScenarioRecord, ...]:
        """Send, watch, and judge; `wait` bounds the known-good message, and then all others."""
        first, *others = self._cases
        runnable = [case for case in others if case.unavailable is None]
        if self._sender.by_hand:
            await self._watch([first, *runnable])
        else:
            await self._send_and_watch([first])
            if self._known_good:
                await self._send_and_watch(runnable)
        return self.records()

    def records(self) -> tuple[ScenarioRecord, ...]:
        """Return everything as it stands."""
        sessions = self._sessions()
        return tuple(self._record(case, sessions[case.marked.scenario]) for case in self._cases)

    async def _send_and_watch(self, cases: Sequence[_Case]) -> None:
        for case in cases:
            case.handing_over = True
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(self._hand_over(case)) for case in cases]
            await self._watch(cases)
            for task in sending:
                task.cancel()

    async def _hand_over(self, case: _Case) -> None:
        try:
            async with self._slots:
                # A relay may still try messages of earlier runs, and a refused try bears no mark.
                case.since = datetime.now(UTC)
                case.reported = await self._sender.send(case.marked)
        except NotConnectedError as error:
            case.reported = Reported(by=Told.REPLY, text=str(error), final=False)
            case.unsent = True
        finally:
            case.handing_over = False

    async def _watch(self, cases: Sequence[_Case]) -> None:
        """Return when nothing that comes can settle more, or when the wait is over."""
        try:
            async with asyncio.timeout(self._wait):
                while True:
                    sessions = self._sessions()
                    proofs = {
                        case.marked.scenario: self._judge(case, sessions[case.marked.scenario])
                        for case in self._cases
                    }
                    self._progress(proofs)
                    if all(
                        self._is_over(
                            case, proofs[case.marked.scenario], sessions[case.marked.scenario]
                        )
                        for case in cases
                    ):
                        return
                    await self._lab.wait_for_change(within=_LOOK_AGAIN)
        except TimeoutError:
            return

    def _sessions(self) -> Mapping[str, tuple[ReceivedSession, ...]]:
        """Return each scenario's sessions: its own receiver's, then others with its mark."""
        own = {name: self._lab.received(name) for name in self._lab.endpoints}
        marked: defaultdict[str, list[ReceivedSession]] = defaultdict(list)
        for sessions in own.values():
            for session in sessions:
                for mark in marks_in(session):
                    marked[mark].append(session)
        return {
            case.marked.scenario: (
                *(
                    s
                    for s in own.get(case.marked.scenario, ())
                    if s.started_at >= case.since or bears(case.marked, s)
                ),
                *(s for s in marked[case.marked.mark] if s.receiver != case.marked.scenario),
            )
            for case in self._cases
        }

    @property
    def _known_good(self) -> bool:
        good = self._cases[0].marked
        return any(
            message.content and bears(good, session)
            for session in self._lab.received(KNOWN_GOOD)
            for message in session.messages
        )

    def _reported(self, case: _Case, sessions: Iterable[ReceivedSession]) -> Reported | None:
        return notified(case.marked, sessions) or case.reported

    def _judge(self, case: _Case, sessions: Sequence[ReceivedSession]) -> ScenarioProof:
        return judge_scenario(
            case.marked,
            self._promises,
            sessions,
            reported=self._reported(case, sessions),
            known_good=self._known_good,
            unavailable=case.unavailable,
        )

    def _is_over(
        self, case: _Case, proof: ScenarioProof, sessions: Sequence[ReceivedSession]
    ) -> bool:
        if case.handing_over:
            return False
        return case.unsent or is_settled(
            case.marked,
            proof,
            sessions,
            reported=self._reported(case, sessions),
            now=datetime.now(UTC),
        )

    def _record(self, case: _Case, sessions: tuple[ReceivedSession, ...]) -> ScenarioRecord:
        return ScenarioRecord(
            marked=case.marked,
            unavailable=case.unavailable,
            reported=self._reported(case, sessions),
            sessions=sessions,
            proof=self._judge(case, sessions),
        )


def promises_of(claim: TlsSetting) -> Mapping[str, Promise]:
    """Return what a claim promises, by receiver."""
    return {scenario: row[claim] for scenario, row in PROMISES.items()}


def marks_in(session: ReceivedSession) -> frozenset[str]:
    """Return every mark that stands in a session's lines or messages."""
    texts = [line.text for line in session.transcript]
    texts += [message.content.decode("latin-1") for message in session.messages]
    return frozenset(mark for text in texts for mark in MARK_FORM.findall(text.lower()))


def notified(marked: Marked, sessions: Iterable[ReceivedSession]) -> Reported | None:
    """Return what a notification said that came back to the lab for a marked message."""
    for session in sessions:
        for message in session.messages:
            if message.reverse_path or not any(
                marked.mark in path.lower() for path in message.recipients
            ):
                continue
            for report in read_report(message.content):
                if report.reading is Reading.FAILED:
                    text = f"failed: {report.status} {report.text}".strip()
                    return Reported(by=Told.NOTIFICATION, text=text, final=True)
    return None


def judge_again(
    records: Sequence[ScenarioRecord], promises: Mapping[str, Promise]
) -> tuple[ScenarioRecord, ...]:
    """Judge recorded scenarios anew, by nothing but their sessions and what the sender was told."""
    good = records[0]
    known_good = any(
        message.content and bears(good.marked, session)
        for session in good.sessions
        if session.receiver == KNOWN_GOOD
        for message in session.messages
    )
    return tuple(
        replace(
            record,
            proof=judge_scenario(
                record.marked,
                promises,
                record.sessions,
                reported=record.reported,
                known_good=known_good,
                unavailable=record.unavailable,
            ),
        )
        for record in records
    )
