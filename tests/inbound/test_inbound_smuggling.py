"""SMTP smuggling and bare line ends: refused or made CR LF, and told in the session's record."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbound_harness import House, OpenHouse, spoken

from relay.core.content import facts_of, only_crlf
from relay.core.delivery import BareLineEnds
from relay.inbound.content import ContentProblem, ContentReader
from relay.inbound.limits import InboundLimits
from relay.inbound.line_ends import LineEnds, line_ends

SMUGGLED = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nevil\r\n.\r\n"
SEQUENCES = {
    b"\n.\n": "2 bare LF, among them LF . LF",
    b"\r\n.\n": "1 bare LF, among them CR LF . LF",
    b"\n.\r\n": "1 bare LF, among them LF . CR LF",
    b"\r.\r\n": "1 bare CR, among them CR . CR LF",
    b"\r.\r": "2 bare CR, among them CR . CR",
    b"\r\n.\r": "1 bare CR, among them CR LF . CR",
    b"\r\r\n.\r\r\n": "2 bare CR, among them CR LF . CR",
    b"\n.\r": "1 bare CR, 1 bare LF, among them LF . CR",
}


def reader(bare_line_ends: BareLineEnds, *, size_limit: int = 10_000) -> ContentReader:
    return ContentReader(
        size_limit=size_limit, line_limit=10_000, hop_limit=100, bare_line_ends=bare_line_ends
    )


@pytest.mark.parametrize("sequence", SEQUENCES, ids=repr)
async def test_smuggling_is_refused_and_recorded(sequence: bytes, house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"one" + sequence + SMUGGLED)).startswith("550 5.5.2 ")
    assert (await client.say("QUIT")).startswith("221 ")
    record = spoken(await house.ended())
    assert f"a message was refused, bare-line-end: {SEQUENCES[sequence]}, which some" in record
    assert house.accepted == []


@pytest.mark.parametrize(
    "sequence", [b"\r\n\x00.\r\n", b"\r\n\x00\x00.\x00\r\n", b"\r\n.\x00.\r\n"], ids=repr
)
@pytest.mark.parametrize("bare_line_ends", BareLineEnds)
async def test_smuggling_with_nul_is_refused_and_recorded(
    sequence: bytes, bare_line_ends: BareLineEnds, open_house: OpenHouse
) -> None:
    house = await open_house(bare_line_ends=bare_line_ends)
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"one" + sequence + SMUGGLED)).startswith("550 5.5.2 ")
    assert (await client.say("QUIT")).startswith("221 ")
    assert "a message was refused, nul-end" in spoken(await house.ended())
    assert house.accepted == []


async def test_nul_elsewhere_passes(house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    content = b"a\x00.\r\n\x00a.\r\n\x00\r\n"
    assert (await client.say(content + b".\r\n")).startswith("250 ")
    assert house.accepted[0].content == content


@pytest.mark.parametrize("sequence", SEQUENCES, ids=repr)
async def test_normalised_a_smuggled_message_is_text_of_the_first(
    sequence: bytes, open_house: OpenHouse
) -> None:
    house = await open_house(bare_line_ends=BareLineEnds.NORMALISE)
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"one" + sequence + SMUGGLED)).startswith("250 ")
    assert (await client.say("QUIT")).startswith("221 ")
    (message,) = house.accepted
    assert message.recipients == ("c@d.test",)
    assert message.content.startswith(b"one\r\n")
    assert message.content.endswith(b"\r\n" + SMUGGLED.removesuffix(b".\r\n"))
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", message.content)
    record = spoken(await house.ended())
    assert f"octets; made CR LF: {SEQUENCES[sequence]}, which some servers" in record


async def test_normalised_lines_of_a_client_that_knows_only_lf(open_house: OpenHouse) -> None:
    house = await open_house(bare_line_ends=BareLineEnds.NORMALISE)
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"Subject: x\n\n..stuffed\nold\rnew\r\n.\r\n")).startswith("250 ")
    assert house.accepted[0].content == b"Subject: x\r\n\r\n.stuffed\r\nold\r\nnew\r\n"
    await client.say("QUIT")
    assert "a message of 34 octets; made CR LF: 1 bare CR, 3 bare LF" in spoken(await house.ended())


async def test_the_switch_is_read_for_every_message(open_house: OpenHouse) -> None:
    house = await open_house()
    client = await house.connect()
    replies = []
    for choice in (BareLineEnds.REFUSE, BareLineEnds.NORMALISE, BareLineEnds.REFUSE):
        house.bare_line_ends = choice
        await client.begin_message()
        replies.append((await client.say(b"a\nb\r\n.\r\n"))[:3])
    assert replies == ["550", "250", "550"]


async def test_proper_lines_are_not_touched(open_house: OpenHouse) -> None:
    house = await open_house(bare_line_ends=BareLineEnds.NORMALISE)
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"a\r\n..b\r\n\r\n.\r\n")).startswith("250 ")
    assert house.accepted[0].content == b"a\r\n.b\r\n\r\n"
    await client.say("QUIT")
    assert "made CR LF" not in spoken(await house.ended())


async def test_a_message_that_grows_too_big_by_its_line_ends(open_house: OpenHouse) -> None:
    for limits, reply in (
        (InboundLimits(message_size=100), "552 5.3.4 "),
        (InboundLimits(buffered=100), "452 4.3.1 "),
    ):
        house = await open_house(limits=limits, bare_line_ends=BareLineEnds.NORMALISE)
        client = await house.connect()
        await client.begin_message()
        assert (await client.say(b"\n" * 80 + b"\r\n.\r\n")).startswith(reply)


def test_line_ends_are_counted() -> None:
    assert line_ends(b"a\r\n\r\nb\r\n") == LineEnds()
    assert str(line_ends(b"a\r\n")) == "CR LF"
    assert line_ends(b"\n\n\r\r\n") == LineEnds(bare_cr=1, bare_lf=2)
    assert line_ends(b"x\n.\n\r.\r\n") == LineEnds(bare_cr=1, bare_lf=2, false_end=b"\n.\n")


octets = st.lists(st.sampled_from([b"\r", b"\n", b".", b"a", b"\0"]), max_size=14).map(b"".join)


@given(octets=octets)
def test_what_is_normalised_can_end_nothing_elsewhere(octets: bytes) -> None:
    """Of any octets between 354 and the first CR LF . CR LF, what is accepted has CR LF alone."""
    reading = reader(BareLineEnds.NORMALISE)
    assert reading.feed(octets + b"\r\n.\r\n") is not None
    content = reading.finish()
    if isinstance(content, bytes):
        assert content == b"" or content.endswith(b"\r\n")
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
        lines = content.split(b"\r\n")
        assert b"." not in [line.replace(b"\0", b"") for line in lines if b"\0" in line[:1]]
    else:
        assert content is ContentProblem.NUL_END


@given(octets=octets)
def test_the_modes_differ_in_bare_line_ends_alone(octets: bytes) -> None:
    readings = [reader(choice) for choice in BareLineEnds]
    for reading in readings:
        reading.feed(octets + b"\r\n.\r\n")
    refused, made = (reading.finish() for reading in readings)
    assert readings[0].line_ends == readings[1].line_ends
    assert (refused is ContentProblem.BARE_LINE_END) is not readings[0].line_ends.proper
    if readings[0].line_ends.proper:
        assert refused == made


@given(octets=octets)
def test_only_crlf_is_what_needs_no_count(octets: bytes) -> None:
    assert only_crlf(octets) is line_ends(octets).proper


pieces = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b".\r\n", b"\r\n.", b"a" * 5000, b"\xff", b""]),
    max_size=14,
)


@given(pieces=pieces, choice=st.sampled_from(BareLineEnds))
def test_what_is_known_of_the_content_is_what_a_second_look_finds(
    pieces: list[bytes], choice: BareLineEnds
) -> None:
    """However it comes in pieces, and wherever the end of data is among them."""
    reading = reader(choice)
    came = b"\r\n"
    for piece in [*pieces, b"\r\n.\r\n"]:
        came += piece
        rest = reading.feed(piece)
        if rest is not None:
            break
    assert rest == came.partition(b"\r\n.\r\n")[2]
    content = reading.finish()
    if isinstance(content, bytes):
        assert reading.facts == facts_of(content)
    else:
        assert reading.facts is None
