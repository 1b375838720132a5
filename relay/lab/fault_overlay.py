"""Fault scripts at work: which rule decides on an occasion, and the counters that it takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol, assert_never

from relay.core.fault_scripts import (
    Delay,
    FaultAnswer,
    FaultPhase,
    FaultRule,
    FaultScript,
    Interference,
)
from relay.core.replies import Reply
from relay.lab.scripts import Answer, Ending, HangUp, LastReply, Raw, Silence

GARBAGE: Final = b"\x00\x16\x7f\xfe\x80 garbage \xff\xfe\x00\r\n"
"""Neither a reply nor a TLS record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The rule that decided, and its number in the script, from 1."""

    number: int
    rule: FaultRule

    def __str__(self) -> str:
        """Return what a transcript notes: `fault script: rule 2 (flaky.yaml:5): drop`."""
        where = f" ({self.rule.place})" if self.rule.place else ""
        return f"fault script: rule {self.number}{where}: {_words(self.rule.answer)}"


class Decide(Protocol):
    """Asked by a session at each phase, with the recipients that it is about."""

    def __call__(self, phase: FaultPhase, recipients: Sequence[str] = ()) -> Decision | None:
        """Return the rule that decides, None where the scenario goes its own way."""
        ...


class RunningScripts:
    """The loaded scripts of all receivers with their counters; one script for each scenario."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._running: dict[str, _Running] = {}

    @property
    def scripts(self) -> tuple[FaultScript, ...]:
        """The scripts, in the order in which they were loaded."""
        return tuple(running.script for running in self._running.values())

    def load(self, scripts: Sequence[FaultScript]) -> None:
        """Put these scripts in the place of all others; ValueError for two of one scenario."""
        since = self._now()
        running = {script.scenario: _Running(script, since) for script in scripts}
        if len(running) != len(scripts):
            raise ValueError("a scenario has one fault script at most")
        self._running = running

    def reset(self) -> None:
        """Begin every script anew: counters, time and chance."""
        self.load(self.scripts)

    def decide(
        self, scenario: str, phase: FaultPhase, recipients: Sequence[str] = ()
    ) -> Decision | None:
        """Take an occasion at a scenario's receiver to its script."""
        running = self._running.get(scenario)
        return running.decide(phase, recipients, self._now()) if running else None


class _Running:
    """One script, its counters and its chance, a stream of its own for each rule."""

    def __init__(self, script: FaultScript, since: datetime) -> None:
        self.script = script
        self._since = since
        self._occasions = [0] * len(script.rules)
        # One stream each, so that a rule's decisions don't hang on how often another one is asked.
        self._chance = [
            random.Random(f"{script.seed}/{number}")  # noqa: S311 - repeatable, guards no secret
            for number in range(len(script.rules))
        ]

    def decide(
        self, phase: FaultPhase, recipients: Sequence[str], now: datetime
    ) -> Decision | None:
        elapsed = now - self._since
        for at, rule in enumerate(self.script.rules):
            if not rule.applies(phase, recipients, elapsed=elapsed):
                continue
            self._occasions[at] += 1
            if rule.fires(self._occasions[at], draw=self._chance[at].random()):
                return Decision(number=at + 1, rule=rule)
        return None


def answer_of(fault: Reply | Interference) -> Answer:
    """Return a fault as a receiver's answer."""
    match fault:
        case Reply(code=421):
            # RFC 5321 section 3.8: 421 announces that the host closes the connection.
            return LastReply(reply=fault)
        case Reply():
            return fault
        case Interference.DROP:
            return HangUp()
        case Interference.RESET:
            return HangUp(ending=Ending.RESET)
        case Interference.SILENCE:
            return Silence()
        case Interference.GARBAGE:
            return Raw(octets=GARBAGE)
        case _:
            assert_never(fault)


def _words(answer: FaultAnswer) -> str:
    match answer:
        case Reply():
            return f"reply {answer}"
        case Interference():
            return answer.value
        case Delay(by=by):
            return f"delay of {by.total_seconds():g} s"
        case _:
            assert_never(answer)
