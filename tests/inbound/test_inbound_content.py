"""The content of a message: exact, bounded, and ended by CR LF . CR LF alone."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inbound_harness import House, OpenHouse

from relay.core.delivery import BareLineEnds
from relay.inbound.content import Buffered, ContentProblem, ContentReader
from relay.inbound.limits import InboundLimits

HEAD = b"Subject: test\r\n\r\n"

CONTENTS = {
    "empty": b"",
    "one-empty-line": b"\r\n",
    "dots": b".\r\n..\r\n.a\r\n...\r\n",
    "dot-first-and-last": b".first\r\ntext\r\n.",
    "eight-bit": bytes(range(0x80, 0x100)) + b"\r\n",
    "controls": b"\x00\x01\x1b[31m\x7f\r\n",
    "long-line": b"x" * 65_534 + b"\r\n",
    "many-lines": b"0123456789\r\n" * 50_000,
}


def content_reader(
    *, line_limit: int = 1000, bare_line_ends: BareLineEnds = BareLineEnds.REFUSE
) -> ContentReader:
    return ContentReader(
        size_limit=10_000, line_limit=line_limit, hop_limit=100, bare_line_ends=bare_line_ends
    )


def stuffed(content: bytes) -> bytes:
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n..")[2:]


@pytest.mark.parametrize("name", CONTENTS)
async def test_content_arrives_octet_for_octet(name: str, house: House) -> None:
    content = CONTENTS[name] + (b"\r\n" if name == "dot-first-and-last" else b"")
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(stuffed(content) + b".\r\n")).startswith("250 ")
    assert house.accepted[0].content == content


async def test_the_end_may_come_in_pieces(house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    for piece in (b"a\r", b"\n", b".", b"\r", b"\n"):
        await client.send(piece)
    assert (await client.reply()).startswith("250 ")
    assert house.accepted[0].content == b"a\r\n"


ODD_ENDS = [
    b"\n.\n",
    b"\r\n.\n",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r.\r",
    b"\r\n.\r",
    b"\r\n\x00.\r\n\n",
    b"\r\r\n.\r\r\n",
]


@pytest.mark.parametrize("odd", ODD_ENDS, ids=repr)
async def test_smuggling_no_other_sequence_ends_a_message(odd: bytes, house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    smuggled = b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nevil\r\n.\r\n"
    reply = await client.say(b"one" + odd + smuggled)
    assert reply.startswith("550 5.5.2 ")
    assert (await client.say("NOOP")).startswith("250 ")
    assert house.accepted == []


@pytest.mark.parametrize("bare", [b"a\nb\r\n", b"a\rb\r\n", b"\n\r\n", b"a\r\r\n"], ids=repr)
async def test_bare_line_ends_are_refused(bare: bytes, house: House) -> None:
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(bare + b".\r\n")).startswith("550 5.5.2 ")
    assert house.accepted == []


async def test_message_size_counts_the_message_not_its_stuffing(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(message_size=300))
    client = await house.connect()
    content = b".\r\n" * 100
    await client.begin_message()
    assert (await client.say(stuffed(content) + b".\r\n")).startswith("250 ")
    await client.begin_message()
    assert (await client.say(stuffed(content) + b"x\r\n.\r\n")).startswith("552 5.3.4 ")
    assert [i.content for i in house.accepted] == [content]


async def test_too_long_a_line(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(line_length=1000))
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"x" * 998 + b"\r\n.\r\n")).startswith("250 ")
    await client.begin_message()
    reply = await client.say(b"short\r\n" * 500 + b"x" * 999 + b"\r\nshort\r\n.\r\n")
    assert reply.startswith("500 5.6.0 ")
    assert len(house.accepted) == 1


async def test_content_of_all_sessions_is_bounded(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(buffered=1000))
    client = await house.connect()
    await client.begin_message()
    assert (await client.say(b"x" * 2000 + b"\r\n.\r\n")).startswith("452 4.3.1 ")
    await client.begin_message()
    assert (await client.say(b"x" * 900 + b"\r\n.\r\n")).startswith("250 ")
    await client.begin_message()
    assert (await client.say(b"x" * 900 + b"\r\n.\r\n")).startswith("250 ")


def test_endless_line_is_held_in_bounded_memory() -> None:
    reader = content_reader(line_limit=65_536)
    piece = b"x" * 65_536
    for _ in range(160):
        assert reader.feed(piece) is None
        assert reader.held <= 10_000 * 4 // 3 + len(piece)
    assert reader.feed(b"\r\n.\r\nNOOP\r\n") == b"NOOP\r\n"
    assert reader.finish() is ContentProblem.TOO_BIG


async def test_endless_line_ends_the_session(open_house: OpenHouse) -> None:
    house = await open_house(limits=InboundLimits(message_size=10_000))
    client = await house.connect()
    await client.begin_message()
    for _ in range(40):
        client.writer.write(b"x" * 65_536)
    session = await house.ended()
    assert session.transcript[-1].text.startswith("552 5.3.4 ")
    assert house.accepted == []


def test_a_share_is_given_back() -> None:
    buffered = Buffered(100)
    with buffered.share() as first, buffered.share() as second:
        assert first.hold(60)
        assert not second.hold(60)
        assert second.hold(40)
        assert first.hold(10)
        assert second.hold(90)
    assert buffered.octets == 0


lines = st.lists(st.text(alphabet=".ab\x01ü", max_size=5), max_size=8).map(
    lambda texts: b"".join(text.encode() + b"\r\n" for text in texts)
)


@given(content=lines, rest=st.binary(max_size=5), cuts=st.lists(st.integers(0, 80), max_size=6))
def test_any_content_in_any_pieces(content: bytes, rest: bytes, cuts: list[int]) -> None:
    wire = stuffed(content) + b".\r\n" + rest
    edges = sorted({0, len(wire), *(min(cut, len(wire)) for cut in cuts)})
    reader = content_reader()
    left = b""
    ended = False
    for start, end in itertools.pairwise(edges):
        piece = wire[start:end]
        if ended:
            left += piece
        elif (behind := reader.feed(piece)) is not None:
            ended, left = True, behind
    assert ended
    assert left == rest
    assert reader.finish() == content


@given(octets=st.lists(st.sampled_from([b"\r", b"\n", b".", b"a"]), max_size=12).map(b"".join))
def test_what_is_accepted_has_no_bare_line_end(octets: bytes) -> None:
    reader = content_reader()
    if reader.feed(octets + b"\r\n.\r\n") is None:
        pytest.fail("CR LF . CR LF did not end the content")
    content = reader.finish()
    if isinstance(content, bytes):
        flat = content.replace(b"\r\n", b"")
        assert b"\r" not in flat
        assert b"\n" not in flat
    else:
        assert content is ContentProblem.BARE_LINE_END


@given(lengths=st.lists(st.integers(0, 30), max_size=12), limit=st.integers(2, 32))
def test_the_longest_line_decides(lengths: list[int], limit: int) -> None:
    content = b"".join(b"x" * length + b"\r\n" for length in lengths)
    reader = content_reader(line_limit=limit)
    assert reader.feed(content + b".\r\n") == b""
    expected = max((length + 2 for length in lengths), default=0) <= limit
    assert isinstance(reader.finish(), bytes) is expected
