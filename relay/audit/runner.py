"""Sends one marked message for each scenario and setting, and compares with the expectations.

Whether a message was delivered is read from what the receivers stored, never from what the sender's
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
    """What the receivers stored of the marked message: how often, and whether TLS protected it."""

    copies: int
    encrypted: bool


class RelayUnderTest(Protocol):
    """A relay that takes a message under one setting."""

    async def send(self, recipient: str, mark: str) -> Sent:
        """Send one message that bears `mark`; return what the client was told."""
        ...


Look = Callable[[Sequence[str]], Mapping[str, Arrived]]
"""Asks every receiver, for a message may go where it was not meant to, what it stored of marks."""


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
    progress: Callable[[str, TlsSetting], None] = lambda _, __: None,
    at_once: int = 16,
) -> Sequence[Cell]:
    """Run every scenario under every relay's setting; cells come back in the order of the tables.

    The receivers are asked at the end, when a second copy would have come too. `progress` is told
    of each message that was answered. Raises KeyError for a scenario without expectations: a gap in
    the table must not go unseen.
    """
    slots = asyncio.Semaphore(at_once)
    wanted = [
        (scenario, setting, expectations[scenario][setting], new_mark())
        for scenario in scenarios
        for setting in relays
    ]

    async def one(scenario: str, setting: TlsSetting, mark: str) -> Sent:
        async with slots:
            sent = await relays[setting].send(f"anyone@{scenario}.lab.test", mark)
        progress(scenario, setting)
        return sent

    async with asyncio.TaskGroup() as tasks:
        sending = [
            tasks.create_task(one(scenario, setting, mark)) for scenario, setting, _, mark in wanted
        ]
    arrived = look([mark for *_, mark in wanted])
    return [
        _compare(scenario, setting, expected, task.result(), arrived[mark])
        for task, (scenario, setting, expected, mark) in zip(sending, wanted, strict=True)
    ]
