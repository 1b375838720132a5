"""Slots for sessions: bounds, order, and nobody who goes away keeps one."""

from __future__ import annotations

import asyncio

import pytest

from relay.core.routing import Hop
from relay.engine.slots import Slots


def hop(number: int) -> Hop:
    return Hop(host=f"mx{number}.test", address=f"127.0.0.{number}", port=25)


A, B, C = hop(1), hop(2), hop(3)


class Room:
    """Slots, and who was served, in order."""

    def __init__(self, *, in_all: int, per_host: int) -> None:
        self.slots = Slots(in_all=in_all, per_host=per_host)
        self.served: list[str] = []

    def ask(self, name: str, host: Hop) -> asyncio.Task[None]:
        async def waited() -> None:
            await self.slots.wait(host)
            self.served.append(name)

        return asyncio.get_running_loop().create_task(waited())


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_bounds() -> None:
    slots = Slots(in_all=3, per_host=2)
    assert [slots.take(A), slots.take(A), slots.take(A)] == [True, True, False]
    assert (slots.left, slots.left_with(A), slots.left_with(B)) == (1, 0, 2)
    assert [slots.take(B), slots.take(B), slots.take(C)] == [True, False, False]
    slots.give_back(A)
    assert (slots.left, slots.left_with(A)) == (1, 1)
    assert slots.take(C)


async def test_the_port_makes_another_host() -> None:
    slots = Slots(in_all=3, per_host=1)
    assert slots.take(A)
    assert slots.take(Hop(host=A.host, address=A.address, port=26))
    assert not slots.take(Hop(host="alias.test", address=A.address, port=A.port))


async def test_those_who_wait_are_served_in_their_order() -> None:
    room = Room(in_all=2, per_host=1)
    assert room.slots.take(A)
    assert room.slots.take(B)
    tasks = [room.ask(name, host) for name, host in (("a", A), ("c", C), ("a2", A), ("b", B))]
    await settle()
    assert not room.served
    room.slots.give_back(B)
    await settle()
    assert room.served == ["c"], "the first of those whose host has a slot"
    room.slots.give_back(A)
    await settle()
    room.slots.give_back(A)
    await settle()
    room.slots.give_back(C)
    await settle()
    assert room.served == ["c", "a", "a2", "b"]
    await asyncio.gather(*tasks)


async def test_nobody_goes_before_those_who_wait() -> None:
    room = Room(in_all=5, per_host=1)
    assert room.slots.take(A)
    task = room.ask("first", A)
    await settle()
    room.slots.give_back(A)
    assert not room.slots.take(A)
    await task
    room.slots.give_back(A)
    assert room.slots.take(A)


@pytest.mark.parametrize("granted_first", [False, True])
async def test_who_stops_waiting_keeps_nothing(granted_first: bool) -> None:
    room = Room(in_all=5, per_host=1)
    assert room.slots.take(A)
    gone, stays = room.ask("gone", A), room.ask("stays", A)
    await settle()
    if granted_first:
        room.slots.give_back(A)
        gone.cancel()
    else:
        gone.cancel()
        room.slots.give_back(A)
    await asyncio.gather(gone, stays, return_exceptions=True)
    assert room.served == ["stays"]
    assert room.slots.left_with(A) == 0
    room.slots.give_back(A)
    assert (room.slots.left, room.slots.left_with(A)) == (5, 1)


async def test_a_wait_that_is_given_up_before_its_turn_is_forgotten() -> None:
    room = Room(in_all=5, per_host=1)
    assert room.slots.take(A)
    gone = room.ask("gone", A)
    await settle()
    gone.cancel()
    await settle()
    room.slots.give_back(A)
    assert room.slots.take(A)
