"""What a message costs, in counted calls: a guard against losing what was measured to be fast."""

from __future__ import annotations

import asyncio
import gc
import weakref
from email import _header_value_parser
from typing import Any

import pytest
from inbound_harness import Client, House

from relay.inbound.adapter import RelaySMTP
from relay.inbound.incoming import ListenerKind
from relay.tls.starting import RECEIVED_AT_ONE_TIME

GROUP = "MAIL FROM:<a@b.test> SIZE=100\r\nRCPT TO:<c@d.test>\r\nRCPT TO:<e@f.test>\r\nDATA\r\n"
CONTENT = "Subject: x\r\n\r\ntext\r\n.\r\n"


class CountedWire:
    """A transport that counts writes; all else is the real one's."""

    def __init__(self, wire: asyncio.Transport) -> None:
        self._wire = wire
        self.writes = 0

    def write(self, octets: bytes) -> None:
        self.writes += 1
        self._wire.write(octets)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wire, name)


def the_session(house: House) -> RelaySMTP:
    (session,) = house.listeners._service.live
    return session


async def counted_wire(house: House) -> tuple[Client, CountedWire]:
    client = await house.connect()
    await client.say("EHLO client.test")
    session = the_session(house)
    wire = CountedWire(session._wire)
    session._wire = wire  # type: ignore[assignment]
    return client, wire


async def test_a_pipelined_message_is_answered_in_two_writes(house: House) -> None:
    client, wire = await counted_wire(house)
    for number in range(1, 6):
        await client.send(GROUP)
        codes = [(await client.reply())[:3] for _ in range(4)]
        assert codes == ["250", "250", "250", "354"]
        assert (await client.say(CONTENT.encode())).startswith("250 ")
        assert wire.writes == 2 * number


async def test_a_message_sent_step_by_step_has_a_write_for_each_reply(house: House) -> None:
    client, wire = await counted_wire(house)
    for command in (*GROUP.splitlines(), CONTENT.removesuffix("\r\n")):
        await client.say(command)
    assert wire.writes == 5


async def test_the_task_is_woken_once_for_a_message(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    woken: list[object] = []
    original = RelaySMTP._until_needed

    async def counted(session: RelaySMTP) -> object:
        errand = await original(session)
        woken.append(errand)
        return errand

    monkeypatch.setattr(RelaySMTP, "_until_needed", counted)
    client = await house.connect()
    await client.say("EHLO client.test")
    for _ in range(5):
        for command in (*GROUP.splitlines(), CONTENT.removesuffix("\r\n")):
            await client.say(command)
    assert len(woken) == 5


@pytest.mark.parametrize("kind", [ListenerKind.SMTP, ListenerKind.SMTPS])
async def test_one_timer_serves_a_session(
    kind: ListenerKind, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await house.connect(kind)
    await client.say("EHLO client.test")
    loop = asyncio.get_running_loop()
    timers: list[float] = []
    original = loop.call_at

    def counted(when: float, *args: Any, **options: Any) -> asyncio.TimerHandle:
        timers.append(when)
        return original(when, *args, **options)

    monkeypatch.setattr(loop, "call_at", counted)
    for _ in range(20):
        for command in (*GROUP.splitlines(), CONTENT.removesuffix("\r\n")):
            await client.say(command)
    assert timers == []


async def test_the_standard_librarys_address_parser_is_not_called(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError

    for name in ("get_addr_spec", "get_angle_addr"):
        monkeypatch.setattr(_header_value_parser, name, never)
        monkeypatch.setattr(f"aiosmtpd.smtp.{name}", never)
    client = await house.connect()
    assert (await client.say_all("EHLO client.test", 'MAIL FROM:<"a b"@c.test>'))[:3] == "250"
    assert (await client.say("RCPT TO:<c@d.test>"))[:3] == "250"
    assert (await client.say("RCPT TO:<no address>"))[:3] == "501"


async def test_a_tls_session_holds_a_small_buffer_and_takes_a_big_message(house: House) -> None:
    client = await house.connect(ListenerKind.SMTPS)
    await client.begin_message()
    content = b"x" * 76 + b"\r\n"
    assert (await client.say(content * 20_000 + b".\r\n")).startswith("250 ")
    assert house.accepted[-1].content == content * 20_000
    if isinstance(asyncio.get_running_loop(), asyncio.BaseEventLoop):
        protocol = the_session(house)._wire._ssl_protocol
        assert len(protocol._ssl_buffer) == len(protocol.get_buffer(-1)) == RECEIVED_AT_ONE_TIME


@pytest.mark.parametrize("kind", [ListenerKind.SMTP, ListenerKind.SMTPS])
async def test_an_ended_session_is_freed_without_the_garbage_collector(
    house: House, kind: ListenerKind
) -> None:
    await (await house.connect(kind)).close()
    await house.ended(1)  # The first one is what the blueprint is taken of.
    gc.collect()
    gc.disable()
    try:
        client = await house.connect(kind)
        assert (await client.say("EHLO client.test")).startswith("250")
        session = weakref.ref(the_session(house))
        task = the_session(house).task()
        assert (await client.say("QUIT")).startswith("221")
        await client.close()
        await task
        del task
        await asyncio.sleep(0)
        assert session() is None
    finally:
        gc.enable()
