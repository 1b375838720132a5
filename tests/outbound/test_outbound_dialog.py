"""Waiting on a connection: in time, too late, and for room while the host answers already."""

from __future__ import annotations

import asyncio
import gc
import math
import weakref
from collections.abc import Awaitable, Callable

import pytest

from relay.core.outcomes import ConnectionProblem
from relay.core.replies import Reply
from relay.outbound.answers import Broken
from relay.outbound.dialog import Dialog

SOON = 0.01
LONG = 60.0
OK = Reply(code=250, text="ok")


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, Dialog)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.closing


async def test_a_reply_in_time_and_one_too_late() -> None:
    dialog = Dialog(Wire())
    for within in (LONG, SOON):
        # The second wait is the shorter one, and the first one's alarm is still set.
        assert dialog.write(b"NOOP\r\n", replies=1) is None
        if within == LONG:
            asyncio.get_running_loop().call_soon(dialog.data_received, b"250 ok\r\n")
        answer = await dialog.answer(within)
        if within == LONG:
            assert answer == OK
        else:
            assert isinstance(answer, Broken)
            assert answer.problem is ConnectionProblem.TIMEOUT
    dialog.connection_lost(None)


@pytest.mark.parametrize("waits", [Dialog.answer, Dialog.room])
async def test_no_wait_goes_on_when_nobody_has_time_left(
    waits: Callable[[Dialog, float], Awaitable[object]],
) -> None:
    dialog = Dialog(Wire())
    dialog.write(b"NOOP\r\nNOOP\r\n", replies=2)
    dialog.pause_writing()
    loop = asyncio.get_running_loop()
    dialog.until = loop.time() + SOON
    with pytest.raises(TimeoutError):
        await waits(dialog, LONG)
    assert loop.time() >= dialog.until
    dialog.data_received(b"250 ok\r\n")
    # What has come need not be waited for.
    assert await dialog.answer(LONG) == OK
    with pytest.raises(TimeoutError):
        await dialog.answer(LONG)
    dialog.until = math.inf
    loop.call_soon(dialog.data_received, b"250 ok\r\n")
    assert await dialog.answer(LONG) == OK
    dialog.connection_lost(None)


async def test_what_has_come_is_heard_without_a_wait() -> None:
    dialog = Dialog(Wire())
    dialog.write(b"NOOP\r\nNOOP\r\n", replies=2)
    assert dialog.heard() is None
    dialog.data_received(b"250 ok\r\n250-half")
    assert dialog.heard() == OK
    assert dialog.heard() is None
    dialog.connection_lost(None)


async def test_an_alarm_of_an_earlier_wait_ends_no_later_one() -> None:
    dialog = Dialog(Wire())
    loop = asyncio.get_running_loop()
    dialog.write(b"NOOP\r\nNOOP\r\n", replies=2)
    loop.call_soon(dialog.data_received, b"250 ok\r\n")
    assert await dialog.answer(SOON) == OK
    loop.call_later(5 * SOON, dialog.data_received, b"250 ok\r\n")
    assert await dialog.answer(LONG) == OK
    dialog.connection_lost(None)


async def test_the_wait_for_room_ends_with_room_an_answer_or_the_connection() -> None:
    loop = asyncio.get_running_loop()
    for event in ("room", "answer", "lost", "nothing"):
        dialog = Dialog(Wire())
        dialog.write(b"content", replies=1)
        assert await dialog.room(LONG) is None
        dialog.pause_writing()
        match event:
            case "room":
                loop.call_soon(dialog.resume_writing)
                assert await dialog.room(LONG) is None
                assert not dialog.answered
            case "answer":
                loop.call_soon(dialog.data_received, b"552 too big\r\n")
                assert await dialog.room(LONG) is None
                assert dialog.answered
            case "lost":
                loop.call_soon(dialog.connection_lost, ConnectionResetError())
                broken = await dialog.room(LONG)
                assert broken is not None
                assert broken.problem is ConnectionProblem.LOST
            case _:
                broken = await dialog.room(SOON)
                assert broken is not None
                assert broken.problem is ConnectionProblem.TIMEOUT


async def test_a_connection_that_is_lost_leaves_no_alarm_behind() -> None:
    dialog = Dialog(Wire())
    dialog.write(b"NOOP\r\n", replies=1)
    asyncio.get_running_loop().call_soon(dialog.data_received, b"250 ok\r\n")
    assert await dialog.answer(LONG) == OK
    dialog.connection_lost(None)
    kept = weakref.ref(dialog)
    del dialog
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize(
    ("octets", "replies", "unasked"),
    [
        (b"250 ok\r\n", [OK], 0),
        (b"250-one\r\n250-\r\n250 two\r\n", [Reply(code=250, text="one\n\ntwo")], 0),
        (b"250\n", [Reply(code=250, text="")], 0),
        (b"250 ok\r\n250 ok\r\n", [OK, OK], 0),
        (b"250 ok\r\n250 ok\r\n421 bye\r\n", [OK, OK], 9),
        (b"099 odd\r\n", [Reply(code=-1, text="99 odd")], 0),
        (b"25\n0 ok\r\n", [Reply(code=-1, text="25")], 7),
        (b"250 \xff\r\n", [Reply(code=250, text="\\xff")], 0),
        (b"250" + b"x" * 9000 + b"\r\n", [Reply(code=-1, text="250" + "x" * 1997)], 1),
        (b"x" * 33_000, [Reply(code=-1, text="x" * 2000)], 0),
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 100_000])
async def test_replies_in_pieces(
    octets: bytes, replies: list[Reply], unasked: int, piece: int
) -> None:
    dialog = Dialog(Wire())
    dialog.write(b"NOOP\r\nNOOP\r\n", replies=2)
    for start in range(0, len(octets), piece):
        dialog.data_received(octets[start : start + piece])
    assert [await dialog.answer(LONG) for _ in replies] == replies
    assert not dialog.answered
    if piece > len(octets):
        assert dialog.unasked == unasked
    dialog.connection_lost(None)
