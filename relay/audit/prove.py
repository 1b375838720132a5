"""Sends one marked message for each scenario through any relay, and watches the lab's receivers.

The known-good message goes first. Then all others go at once, and the receivers are watched until
every scenario is settled or the wait is over. `relay.audit.proof` judges; nothing here does.

Receivers that strangers reach forget their oldest sessions; what counts is kept here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, unique
from typing import Final, Protocol

from relay.audit.promises import KNOWN_GOOD, PROMISES, Promise
from relay.audit.proof import Reported, ScenarioProof, Told, is_settled, judge_scenario
from relay.audit.shown import Marked, bears, copies_in, marks_in
from relay.audit.tries import LINGER, Origins
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


class NotHandedOverError(Exception):
    """The relay under test never got the message's recipient, so that it can't have tried."""


class Sender(Protocol):
    """Whoever gets the messages to the relay under test."""

    @property
    def by_hand(self) -> bool:
        """Whether somebody else writes the messages, in an order of their own."""
        ...

    async def send(self, marked: Marked) -> Reported | None:
        """Hand over a message; return what the relay said of it, None for nothing yet.

        Raises NotHandedOverError.
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


@unique
class _HandOver(Enum):
    """How far the message of a scenario is on its way to the relay under test."""

    NOT_BEGUN = "not-begun"
    """It never is begun where somebody else writes the messages."""
    UNDER_WAY = "under-way"
    ENDED = "ended"
    """The relay said something of it, never got it, or the wait was over first."""


@dataclass(slots=True)
class _Case:
    """A scenario in progress; what its receiver saw before `since` was somebody else's doing."""

    marked: Marked
    since: datetime
    unavailable: str | None = None
    reported: Reported | None = None
    hand_over: _HandOver = _HandOver.NOT_BEGUN


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """The sessions of all receivers, oldest first; the run's marks in them, by their ids."""

    sessions: tuple[ReceivedSession, ...]
    marked: Mapping[str, frozenset[str]]
    origins: Origins

    @classmethod
    def of(cls, sessions: Iterable[ReceivedSession], marks: frozenset[str]) -> _Seen:
        found = tuple(sorted(sessions, key=lambda session: session.started_at))
        marked = {s.id: here for s in found if (here := marks_in(s) & marks)}
        bearing = [session for session in found if session.id in marked]
        return cls(sessions=found, marked=marked, origins=Origins.of(bearing))


_IsOver = Callable[[_Case, ScenarioProof], bool]
Progress = Callable[[Mapping[str, ScenarioProof]], None]
"""Told of every scenario's verdict as it stands, inconclusive ones among them."""


class Prover:
    """One run of a proof.

    `marked` begins with the known-good message. A receiver that this machine can't run is named
    in the result; LabPortError, for one that can't listen, ends the run. Times are the lab's.
    """

    def __init__(
        self,
        lab: Lab,
        sender: Sender,
        claim: TlsSetting,
        marked: Sequence[Marked],
        *,
        wait: timedelta,
        linger: timedelta = LINGER,
        progress: Progress = lambda _: None,
    ) -> None:
        if not marked or marked[0].scenario != KNOWN_GOOD:
            raise ValueError(f"a proof begins with {KNOWN_GOOD}")
        self._lab = lab
        self._sender = sender
        self._promises = promises_of(claim)
        self._cases = [_Case(one, since=lab.now()) for one in marked]
        self._marks = frozenset(one.mark for one in marked)
        self._wait = wait.total_seconds()
        self._linger = linger
        self._progress = progress
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._ended: dict[str, ReceivedSession] = {}
        self._seen = _Seen.of((), self._marks)

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
        runnable = [first, *(case for case in others if case.unavailable is None)]
        if self._sender.by_hand:
            await self._watch(runnable, self._is_over)
        else:
            await self._send_and_watch([first], self._is_over_or_good)
            if self._known_good:
                await self._send_and_watch(runnable, self._is_over)
        return self.records()

    def records(self) -> tuple[ScenarioRecord, ...]:
        """Return everything as it stands."""
        self._look()
        return tuple(self._record(case) for case in self._cases)

    async def _send_and_watch(self, cases: Sequence[_Case], is_over: _IsOver) -> None:
        unsent = [case for case in cases if case.hand_over is _HandOver.NOT_BEGUN]
        for case in unsent:
            case.hand_over = _HandOver.UNDER_WAY
        async with asyncio.TaskGroup() as tasks:
            sending = [tasks.create_task(self._hand_over(case)) for case in unsent]
            await self._watch(cases, is_over)
            for task in sending:
                task.cancel()

    async def _hand_over(self, case: _Case) -> None:
        try:
            async with self._slots:
                # A relay may still try messages of earlier runs, and a refused try bears no mark.
                case.since = self._lab.now()
                case.reported = await self._sender.send(case.marked)
        except NotHandedOverError as error:
            case.reported = Reported(by=Told.NOT_HANDED_OVER, text=str(error), final=False)
        finally:
            case.hand_over = _HandOver.ENDED

    async def _watch(self, cases: Sequence[_Case], is_over: _IsOver) -> None:
        """Return when nothing that comes can settle more, or when the wait is over."""
        try:
            async with asyncio.timeout(self._wait):
                while True:
                    self._look()
                    proofs = {case.marked.scenario: self._judge(case) for case in self._cases}
                    self._progress(proofs)
                    if all(is_over(case, proofs[case.marked.scenario]) for case in cases):
                        return
                    await self._lab.wait_for_change(within=_LOOK_AGAIN)
        except TimeoutError:
            return

    def _look(self) -> None:
        """Take in what the receivers have by now, and what they had and did not keep."""
        now = {s.id: s for name in self._lab.endpoints for s in self._lab.received(name)}
        self._seen = _Seen.of((now | self._ended).values(), self._marks)
        self._ended |= {
            s.id: s for s in self._seen.sessions if s.ended_at is not None and self._counts(s)
        }

    def _counts(self, session: ReceivedSession) -> bool:
        """Whether a session may bear on a verdict: all but strangers' who showed nothing."""
        mail = {"MAIL", "RCPT", "DATA", "BDAT"}
        return (
            session.id in self._seen.marked
            or self._seen.origins.has(session)
            or (session.auth_seen or bool(mail & {*session.commands}))
        )

    def _sessions(self, case: _Case) -> tuple[ReceivedSession, ...]:
        """Return a scenario's sessions: its own receiver's, then others with its mark."""
        marked, seen = case.marked, self._seen
        return (
            *(
                s
                for s in seen.sessions
                if s.receiver == marked.scenario
                and (s.started_at >= case.since or bears(marked, s))
            ),
            *(
                s
                for s in seen.sessions
                if s.receiver != marked.scenario and marked.mark in seen.marked.get(s.id, ())
            ),
        )

    @property
    def _known_good(self) -> bool:
        good = self._cases[0].marked
        return any(copies_in(good, s) for s in self._seen.sessions if s.receiver == KNOWN_GOOD)

    def _reported(self, case: _Case, sessions: Iterable[ReceivedSession]) -> Reported | None:
        return notified(case.marked, sessions) or case.reported

    def _judge(self, case: _Case) -> ScenarioProof:
        sessions = self._sessions(case)
        return judge_scenario(
            case.marked,
            self._promises,
            sessions,
            origins=self._seen.origins,
            until=self._lab.now(),
            reported=self._reported(case, sessions),
            known_good=self._known_good,
            unavailable=case.unavailable,
        )

    def _is_over(self, case: _Case, proof: ScenarioProof) -> bool:
        if case.hand_over is _HandOver.UNDER_WAY:
            return False
        if case.reported is not None and case.reported.by is Told.NOT_HANDED_OVER:
            return True
        return is_settled(
            case.marked, proof, self._sessions(case), now=self._lab.now(), linger=self._linger
        )

    def _is_over_or_good(self, case: _Case, proof: ScenarioProof) -> bool:
        """Whether the others may go, once the known-good message was handed over and is there."""
        there = self._known_good and case.hand_over is not _HandOver.UNDER_WAY
        return there or self._is_over(case, proof)

    def _record(self, case: _Case) -> ScenarioRecord:
        sessions = self._sessions(case)
        return ScenarioRecord(
            marked=case.marked,
            unavailable=case.unavailable,
            reported=self._reported(case, sessions),
            sessions=sessions,
            proof=self._judge(case),
        )


def promises_of(claim: TlsSetting) -> Mapping[str, Promise]:
    """Return what a claim promises, by receiver."""
    return {scenario: row[claim] for scenario, row in PROMISES.items()}


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
    records: Sequence[ScenarioRecord], promises: Mapping[str, Promise], *, until: datetime
) -> tuple[ScenarioRecord, ...]:
    """Judge recorded scenarios anew, by nothing but their sessions and what the sender was told.

    The first is the known-good one. Until `until` the receivers were watched.
    """
    good = records[0]
    known_good = any(
        copies_in(good.marked, session)
        for session in good.sessions
        if session.receiver == KNOWN_GOOD
    )
    origins = Origins.of(
        [s for record in records for s in record.sessions if bears(record.marked, s)]
    )
    return tuple(
        replace(
            record,
            proof=judge_scenario(
                record.marked,
                promises,
                record.sessions,
                origins=origins,
                until=until,
                reported=record.reported,
                known_good=known_good,
                unavailable=record.unavailable,
            ),
        )
        for record in records
    )
