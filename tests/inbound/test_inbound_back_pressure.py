"""What a client may make the relay hold is bounded; beyond it 421 4.3.2, 452 4.3.1, or a pause."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from inbound_harness import TAKEN, Client, HeldAnswer, House, OpenHouse, spoken

from relay.inbound.adapter import RelaySMTP
from relay.inbound.incoming import ListenerKind
from relay.inbound.limits import InboundLimits
from relay.inbound.lines import ClientInput, EndlessLine, LineTooLong

PIECE = b"x" * 65_536


def the_session(house: House) -> RelaySMTP:
    (session,) = house.listeners._service.live
    return session


def watch(held: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that gets what is held whenever octets have come in, from now on."""
    seen: list[int] = []
    original = RelaySMTP.data_received

    def watched(session: RelaySMTP, data: bytes) -> None:
        original(session, data)
        seen.append(held())

    monkeypatch.setattr(RelaySMTP, "data_received", watched)
    return seen


async def send_until_cut(client: Client) -> None:
    """Send 100 MiB at most, without any line end."""
    for _ in range(100 * 16):
        try:
            await client.send(PIECE)
        except ConnectionError:
            return
    raise AssertionError("the client was not cut")


async def test_one_session_too_many_is_told_to_come_again(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(sessions=3))
    clients = [await house.connect() for _ in range(3)]
    for _ in range(5):
        refused = await house.connect_silently()
        assert (await refused.reply()).startswith("421 4.3.2 ")
        await refused.closed()
    await clients[0].say("QUIT")
    await house.ended(6)
    assert (await (await house.connect()).say("NOOP")).startswith("250 ")
    assert len(house.listeners._service.live) == 3


async def test_messages_that_wait_for_their_answer_count_as_held(open_house: OpenHouse) -> None:
    held = HeldAnswer()
    house = await open_house(answer=held, limits=InboundLimits(buffered=1000))
    waiting = [await house.connect() for _ in range(2)]
    for client in waiting:
        await client.begin_message()
        await client.send(b"x" * 400 + b"\r\n.\r\n")
        await held.begun.acquire()
    late = await house.connect()
    for _ in range(3):
        await late.begin_message()
        assert (await late.say(b"x" * 400 + b"\r\n.\r\n")).startswith("452 4.3.1 ")
    held.go_on.set()
    for client in waiting:
        assert await client.reply() == str(TAKEN)
    assert house.listeners._service.buffered.octets == 0
    await late.begin_message()
    assert await late.say(b"x" * 400 + b"\r\n.\r\n") == str(TAKEN)


@pytest.mark.parametrize("how", ["quits", "resets"])
async def test_what_a_client_that_leaves_held_is_given_back(how: str, house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    await client.send(b"x" * 10_000)
    if how == "resets":
        client.writer.transport.abort()
    else:
        await client.close()
    await house.ended()
    assert house.accepted == []
    assert house.listeners._service.buffered.octets == 0


async def reluctant_client(house: House) -> Client:
    """A client in the middle of a message that has room for few replies, and so has the server."""
    endpoint = house.endpoint(ListenerKind.SMTP)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (endpoint.host, endpoint.port))
    client = Client(*await asyncio.open_connection(sock=raw, limit=1024))
    house.clients.append(client)
    await client.reply()
    server_side = the_session(house)._wire.get_extra_info("socket")
    server_side.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await client.say_all("EHLO client.test", "MAIL FROM:<a@b.test>")
    return client


async def test_a_client_that_does_not_read_its_replies_is_not_served(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    choked = asyncio.Event()
    original = RelaySMTP.pause_writing

    def pause(session: RelaySMTP) -> None:
        choked.set()
        original(session)

    monkeypatch.setattr(RelaySMTP, "pause_writing", pause)
    house = await open_house(limits=InboundLimits(recipients=1))
    client = await reluctant_client(house)
    session = the_session(house)
    group = 50_000
    client.writer.write(b"RCPT TO:<c@d.test>\r\n" * group)
    await choked.wait()
    carried_out = session._talk.steps
    assert carried_out < group // 2
    assert session._wire.get_write_buffer_size() < 65_536 + 16_384
    # Whatever more comes in, nothing more is carried out, and little is kept.
    for _ in range(200):
        await asyncio.sleep(0)
        assert session._talk.steps == carried_out
        assert session._input.unread <= 262_144 * 2
    taken = [(await client.reply())[:3] for _ in range(group)]
    assert taken == ["250"] + ["452"] * (group - 1)
    assert (await client.say("NOOP")).startswith("250 ")


async def test_a_client_that_never_reads_its_replies_is_cut(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(recipients=1, idle_seconds=0.2))
    client = await reluctant_client(house)
    session = the_session(house)
    client.writer.write(b"RCPT TO:<c@d.test>\r\n" * 50_000)
    await house.ended()
    assert session._talk.steps < 25_000
    assert house.listeners._service.live == set()


async def test_a_line_without_end_is_cut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    live = house.listeners._service.live
    held = watch(lambda: sum(session._input.unread for session in live), monkeypatch)
    await send_until_cut(await house.connect())
    assert max(held) <= 262_144 * 2
    record = spoken(await house.ended())
    assert "a line without an end was dropped" in record
    assert "--> 500 5.5.2 " in record


async def test_a_message_without_end_is_cut(
    open_house: OpenHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = await open_house(limits=InboundLimits(message_size=1_000_000))
    buffered = house.listeners._service.buffered
    held = watch(lambda: buffered.octets, monkeypatch)
    client = await house.connect()
    await client.begin_message()
    await send_until_cut(client)
    assert 0 < max(held) < 1_000_000 * 4 // 3 + 262_144 * 2
    assert "--> 552 5.3.4 " in spoken(await house.ended())
    assert buffered.octets == 0
    assert house.accepted == []


async def test_other_sessions_have_their_turn_while_one_sends_much(house: House) -> None:
    busy, other = await house.connect(), await house.connect()
    await busy.say_all("EHLO client.test", "MAIL FROM:<a@b.test>")
    busy_session, other_session = sorted(
        house.listeners._service.live, key=lambda session: -session._talk.steps
    )
    assert busy_session._talk.steps == 2
    busy_session._input.feed(b"RCPT TO:<c@d.test>\r\n" * 5000, busy_session._wire)
    busy_session._look()
    await other.say("NOOP")
    assert other_session._talk.steps == 1
    assert busy_session._talk.steps < 5000


class Transport:
    """Counts how often it was told to pause and to go on."""

    def __init__(self) -> None:
        self.paused = 0
        self.resumed = 0

    def pause_reading(self) -> None:
        self.paused += 1

    def resume_reading(self) -> None:
        self.resumed += 1


def test_a_transport_is_paused_while_much_is_unread() -> None:
    client, transport = ClientInput(), Transport()
    for _ in range(8):
        client.feed(PIECE, transport)  # type: ignore[arg-type]
    assert (transport.paused, transport.resumed) == (1, 0)
    client.some()
    assert (transport.paused, transport.resumed) == (1, 1)


def test_a_long_line_is_dropped_and_an_endless_one_given_up() -> None:
    client, transport = ClientInput(), Transport()
    for _ in range(200):
        client.feed(PIECE, transport)  # type: ignore[arg-type]
        assert client.next_line(1000) is None
        assert client.unread == 0
    client.feed(b"\r\nNOOP\r\n", transport)  # type: ignore[arg-type]
    with pytest.raises(LineTooLong):
        client.next_line(1000)
    assert client.next_line(1000) == b"NOOP\r\n"
    for _ in range(256):
        client.feed(PIECE, transport)  # type: ignore[arg-type]
        assert client.next_line(1000) is None
    client.feed(PIECE, transport)  # type: ignore[arg-type]
    with pytest.raises(EndlessLine):
        client.next_line(1000)
