"""Report-only end to end: mail goes as under Preferred; the record has what would have been."""

from __future__ import annotations

import asyncio

import pytest
from e2e_relay import Running, Start

from relay.audit.story import story
from relay.core.records import Attempt, WouldBe
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate

ENFORCED = "tls: Required Verify\n"
TESTING = f"{ENFORCED}mode: testing\n"
NAMES = ("good", "expired", "self-signed", "wrong-host", "no-starttls", "starttls-refused")


async def attempts(running: Running, name: str) -> tuple[Attempt, ...]:
    await running.send(f"a@{name}.lab.test", mark=name)
    return running.record(name).attempts


@pytest.mark.parametrize("name", NAMES)
async def test_what_is_tested_is_delivered_and_told(start: Start, name: str) -> None:
    async with start(TESTING) as running:
        reply = await running.send(f"a@{name}.lab.test")
        assert reply.code == 250
        told = running.record().attempts[0].tested
        words = dict(story(running.record(), f"a@{name}.lab.test"))
    assert told is not None
    assert told.setting is TlsSetting.REQUIRED_VERIFY
    if name == "good":
        assert told.verdict == Deliver(protection=Protection.VERIFIED)
        assert words["Testing"] == "Required Verify would have let it through as well, verified"
    else:
        assert isinstance(told.verdict, Terminate)
        assert words["Testing"].startswith(f"Required Verify would have refused it: {told.code}")


async def test_what_is_told_is_what_enforcement_does(start: Start) -> None:
    async with start(TESTING) as running:
        told = {name: (await attempts(running, name))[0].tested for name in NAMES}
    assert all(isinstance(each, WouldBe) for each in told.values())
    async with start(ENFORCED) as running:
        replies = await asyncio.gather(
            *(running.send(f"a@{name}.lab.test", mark=f"{name}-enforced") for name in NAMES)
        )
    for name, reply in zip(NAMES, replies, strict=True):
        tested = told[name]
        assert tested is not None
        assert tested.code == (None if reply.positive else reply.status)


async def test_a_handshake_that_fails_is_told_once_and_goes_in_clear(start: Start) -> None:
    async with start(TESTING) as running:
        first, second = await attempts(running, "handshake-drop")
    assert isinstance(first.verdict, RetryInClear)
    assert first.tested is not None
    assert str(first.tested.code) == "451 4.7.5"
    assert second.clear
    assert second.tested is None


async def test_enforcement_records_no_test(start: Start) -> None:
    async with start(ENFORCED) as running:
        (only,) = await attempts(running, "expired")
    assert only.tested is None


async def test_preferred_verify_in_clear_reads_so(start: Start) -> None:
    policy = (
        "tls: Preferred Verify\nmode: testing\n"
        "salesforce: {preferred_verify_on_bad_certificate: clear}\n"
    )
    async with start(policy) as running:
        (only,) = await attempts(running, "expired")
        words = dict(story(running.record("expired"), "a@expired.lab.test"))
    assert only.verdict == Deliver(protection=Protection.ENCRYPTED)
    assert words["Testing"] == "Preferred Verify would have gone on in clear text"
