"""Sessions per client, commands without progress, a session's length, hops: each with its code."""

from __future__ import annotations

import asyncio
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbound_harness import TAKEN, Client, House, OpenHouse, spoken

from relay.core.codebook import CodeEntry
from relay.inbound.hops import received_fields
from relay.inbound.incoming import Incoming, ListenerKind
from relay.inbound.limits import InboundLimits

WITHOUT_MESSAGE = ["NOOP", "RSET", "EHLO client.test", "HELO client.test", "VRFY x", "HELP"]


async def message(client: Client, content: bytes = b"") -> str:
    await client.say_all("MAIL FROM:<a@b.test>", "RCPT TO:<c@d.test>", "DATA")
    return await client.say(content + b".\r\n")


async def test_sessions_of_one_client(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(client_sessions=2))
    first = await house.connect()
    await house.connect(ListenerKind.SMTPS)
    third = await house.connect_silently()
    assert (await third.reply()).startswith("421 4.7.0 ")
    await third.closed()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        await house.connect_silently(ListenerKind.SMTPS)
    assert "before the handshake, instead of 421 4.7.0" in spoken(await house.ended(2))
    assert (await first.say("QUIT")).startswith("221 ")
    await house.ended(3)
    await house.connect()


async def test_another_client_is_not_held_up(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(client_sessions=1))
    await house.connect()
    endpoint = house.endpoint(ListenerKind.SMTP)
    reader, writer = await asyncio.open_connection(
        endpoint.host, endpoint.port, local_addr=("127.0.0.2", 0)
    )
    other = Client(reader, writer)
    house.clients.append(other)
    assert (await other.reply()).startswith("220 ")


async def test_clients_that_left_are_forgotten(house: House) -> None:
    client = await house.connect()
    assert house.listeners._service.per_client == {"127.0.0.1": 1}
    await client.say("QUIT")
    await house.ended()
    assert house.listeners._service.per_client == {}


async def test_all_sessions_together_come_first(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(sessions=1, client_sessions=1))
    await house.connect()
    assert (await (await house.connect_silently()).reply()).startswith("421 4.3.2 ")


@pytest.mark.parametrize("command", WITHOUT_MESSAGE)
async def test_commands_without_a_message(command: str, open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=5))
    client = await house.connect()
    for _ in range(5):
        assert (await client.say(command))[:3] in {"250", "252", "214"}
    assert (await client.say(command)).startswith("421 4.7.0 ")
    await client.closed()


async def test_messages_that_are_begun_and_given_up_are_none(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=5))
    client = await house.connect()
    await client.say("EHLO client.test")
    begin, give_up = "MAIL FROM:<a@b.test>", "RSET"
    assert (await client.say_all(begin, give_up, begin, give_up)).startswith("250 ")
    assert (await client.say(begin)).startswith("421 4.7.0 ")


async def test_a_message_that_is_refused_is_none(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=3))
    client = await house.connect()
    await client.say("EHLO client.test")
    assert (await message(client, b"bare\nline end\r\n")).startswith("550 ")
    assert (await message(client, b"bare\nline end\r\n")).startswith("550 ")
    assert (await client.say("MAIL FROM:<a@b.test>")).startswith("421 4.7.0 ")


async def test_each_message_begins_the_count_anew(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=2))
    client = await house.connect()
    await client.say("EHLO client.test")
    for _ in range(5):
        assert (await message(client)).startswith("250 ")
    assert len(house.accepted) == 5


async def test_recipients_are_not_counted(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(commands_without_message=2, recipients=10))
    client = await house.connect()
    await client.say_all("EHLO client.test", "MAIL FROM:<a@b.test>")
    replies = [await client.say(f"RCPT TO:<c{number}@d.test>") for number in range(20)]
    assert [reply[:3] for reply in replies] == ["250"] * 10 + ["452"] * 10
    assert (await client.say("DATA")).startswith("354 ")
    assert (await client.say(b".\r\n")).startswith("250 ")


async def test_a_session_that_lasts_too_long(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(session_seconds=0.05))
    client = await house.connect()
    assert (await client.reply()).startswith("421 4.4.2 The session has lasted too long")
    await client.closed()


async def test_a_message_in_progress_is_not_cut_by_the_sessions_length(
    open_house: OpenHouse,
) -> None:
    house: House

    def while_the_session_grows_too_old(_: Incoming) -> CodeEntry:
        (session,) = house.listeners._service.live
        session._must_end_at = asyncio.get_running_loop().time() - 1
        return TAKEN

    house = await open_house(answer=while_the_session_grows_too_old)
    client = await house.connect()
    await client.begin_message()
    # The next command is there already, and is not carried out.
    assert await client.say(b".\r\nNOOP\r\n") == "250 2.0.0 Ok: taken"
    assert (await client.reply()).startswith("421 4.4.2 ")
    await client.closed()
    assert len(house.accepted) == 1


HOP = b"Received: from a by b; Thu, 1 Jan 2026 00:00:00 +0000\r\n"


async def test_too_many_hops(open_house: OpenHouse) -> None:
    house = await open_house()
    client = await house.connect()
    await client.say("EHLO client.test")
    assert (await message(client, HOP * 100 + b"\r\ntext\r\n")).startswith("250 ")
    assert (await message(client, HOP * 101 + b"\r\ntext\r\n")).startswith("554 5.4.6 ")
    assert len(house.accepted) == 1
    await client.say("QUIT")
    assert "a message was refused, too-many-hops" in spoken(await house.ended())


@pytest.mark.parametrize(
    ("content", "count"),
    [
        (b"", 0),
        (b"\r\n" + HOP, 0),
        (HOP + b"\r\n" + HOP, 1),
        (b"received : x\r\nRECEIVED\t:y\r\nX-Received: z\r\nReceived-SPF: none\r\n", 2),
        (b"Subject: one\r\n received: folded\r\nReceived: x\r\n", 1),
        (b"X: " + b"x" * 300_000 + b"\r\n" + HOP, 0),
    ],
    ids=["empty", "no-header", "body", "spellings", "folded", "far-down"],
)
def test_what_counts_as_a_hop(content: bytes, count: int) -> None:
    assert received_fields(bytearray(b"\r\n" + content)) == count


@given(st.lists(st.sampled_from([HOP, b"Subject: x\r\n", b" folded\r\n"]), max_size=30))
def test_hops_are_counted_wherever_they_stand(fields: list[bytes]) -> None:
    content = b"".join(fields)
    assert received_fields(bytearray(b"\r\n" + content + b"\r\n" + HOP)) == fields.count(HOP)
