"""Sends one marked message for each scenario and setting, and compares with the expectations.

Whether a message was delivered is read from what the receiver stored, never from what the sender's
side says of itself. How it was protected on the wire is the receiver's word too; only "verified"
(as against "encrypted") is the relay's own record, because no receiver can see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from relay.audit.expectations import Expected
from relay.core.settings import Protection, TlsSetting


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What the relay under test told its client: reply code, its enhanced code, and its text.

    `protection` is what the relay recorded of the last session that it sent in, None if none.
    """

    code: int
    enhanced: str | None
    text: str
    protection: Protection | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What a receiver stored of the marked message: how often, and whether TLS protected it."""

    copies: int
    encrypted: bool


class RelayUnderTest(Protocol):
    """A relay that takes a message under one setting."""

    async def send(self, recipient: str, mark: str) -> Sent:
        """Send one message that bears `mark`; return what the client was told."""
        ...


Look = Callable[[str, str], Arrived]
"""Asks the receiver of a scenario (by name) what it stored of a mark."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One scenario under one setting. `verdict` is what happened, in the expectation's words."""

    scenario: str
    setting: TlsSetting
    verdict: str
    code: str
    text: str
    delivered: bool
    expected: Expected
    as_expected: bool


def _verdict(sent: Sent, arrived: Arrived) -> str:
    """Say what happened: how the message arrived, or the code that it was refused with."""
    if not arrived.copies:
        return f"{sent.code} {sent.enhanced}" if sent.enhanced else str(sent.code)
    if not arrived.encrypted:
        return Protection.CLEAR.value
    if sent.protection is Protection.VERIFIED:
        return Protection.VERIFIED.value
    return Protection.ENCRYPTED.value


def _compare(
    scenario: str, setting: TlsSetting, expected: Expected, sent: Sent, arrived: Arrived
) -> Cell:
    verdict = _verdict(sent, arrived)
    # A message that was delivered must have been answered 250, and just once.
    honest_reply = (200 <= sent.code < 300) is bool(arrived.copies)
    return Cell(
        scenario=scenario,
        setting=setting,
        verdict=verdict,
        code=f"{sent.code} {sent.enhanced}" if sent.enhanced else str(sent.code),
        text=sent.text,
        delivered=bool(arrived.copies),
        expected=expected,
        as_expected=verdict == str(expected) and honest_reply and arrived.copies <= 1,
    )


async def run(
    *,
    relays: Mapping[TlsSetting, RelayUnderTest],
    scenarios: Iterable[str],
    expectations: Mapping[str, Mapping[TlsSetting, Expected]],
    look: Look,
    new_mark: Callable[[], str],
    progress: Callable[[Cell], None] = lambda _: None,
    at_once: int = 16,
) -> Sequence[Cell]:
    """Run every scenario under every relay's setting; cells come back in the order of the tables.

    Raises KeyError for a scenario without expectations: a gap in the table must not go unseen.
    """
    slots = asyncio.Semaphore(at_once)

    async def one(scenario: str, setting: TlsSetting) -> Cell:
        async with slots:
            mark = new_mark()
            sent = await relays[setting].send(f"anyone@{scenario}.lab.test", mark)
            cell = _compare(
                scenario, setting, expectations[scenario][setting], sent, look(scenario, mark)
            )
        progress(cell)
        return cell

    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(one(scenario, setting))
            for scenario in scenarios
            for setting in relays
        ]
    return [task.result() for task in running]
