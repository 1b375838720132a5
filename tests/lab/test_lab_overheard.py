"""What is said in clear text to a receiver that does not answer any more stands in its record."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from datetime import UTC, datetime
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.core.transcripts import Direction, Line, TranscriptLog
from relay.lab.lab import Lab
from relay.lab.overheard import Overheard

ENVELOPE = b"MAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\n"
HEARD = ["MAIL FROM:<a@example.test>", "RCPT TO:<b@example.test>"]
CLIENT_HELLO = b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"


def said(lines: tuple[Line, ...]) -> list[str]:
    return [line.text for line in lines if line.direction is Direction.RECEIVED]


@given(
    st.lists(st.sampled_from([CLIENT_HELLO, b"\x15\x03\x03\x00\x02\x02\x28", ENVELOPE])),
    st.lists(st.integers(min_value=0, max_value=200)),
)
def test_lines_are_heard_between_records_however_they_are_cut_up(
    parts: list[bytes], cuts: list[int]
) -> None:
    log = TranscriptLog(lambda: datetime.now(UTC))
    overheard = Overheard(log, partial(log.command, Direction.RECEIVED), encrypted=False)
    stream = b"".join(parts)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for first, last in itertools.pairwise(places):
        overheard.feed(stream[first:last])
    overheard.end()
    assert said(log.lines) == HEARD * parts.count(ENVELOPE)


def test_a_line_without_an_end_is_heard_too_and_half_a_record_is_none() -> None:
    log = TranscriptLog(lambda: datetime.now(UTC))
    for octets in (b"MAIL FROM:<a@exam", CLIENT_HELLO[:7], b"x" * 5000):
        overheard = Overheard(log, partial(log.command, Direction.RECEIVED), encrypted=False)
        overheard.feed(octets)
        overheard.end()
    first, long = said(log.lines)
    assert first == "MAIL FROM:<a@exam"
    assert long.startswith("xxx")


@pytest.mark.parametrize(
    ("name", "ahead", "behind"),
    [
        ("starttls-silence", b"STARTTLS\r\n", ENVELOPE),
        ("starttls-421", b"STARTTLS\r\n", ENVELOPE),
        ("starttls-close", b"STARTTLS\r\n", ENVELOPE),
        # In the place of a ClientHello, and behind one.
        ("good", b"STARTTLS\r\n", ENVELOPE),
        ("good", b"STARTTLS\r\n", CLIENT_HELLO + ENVELOPE),
        ("handshake-silence", b"STARTTLS\r\n", ENVELOPE),
        ("handshake-silence", b"STARTTLS\r\n", CLIENT_HELLO + ENVELOPE),
        ("handshake-drop", b"STARTTLS\r\n", CLIENT_HELLO + ENVELOPE),
        ("starttls-plaintext", b"STARTTLS\r\n", CLIENT_HELLO + ENVELOPE),
        ("implicit-tls", b"", ENVELOPE),
        ("no-starttls", b"QUIT\r\n", ENVELOPE),
        # Cut off in the middle of a line.
        ("no-starttls", b"", ENVELOPE.removesuffix(b"\r\n")),
    ],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at-once", "later"])
async def test_an_envelope_in_clear_text_is_heard_wherever_it_comes(
    lab: Lab, name: str, ahead: bytes, behind: bytes, at_once: bool
) -> None:
    place = await lab.address(name)
    reader, writer = await asyncio.open_connection(place.address, place.port)
    if name != "implicit-tls":
        await reader.readline()
    if at_once:
        writer.write(ahead + behind)
    else:
        writer.write(ahead)
        if ahead and name != "starttls-silence":
            await reader.readline()
        writer.write(behind)
    writer.write_eof()
    await reader.read()
    writer.close()
    await lab.wait_until_idle(name)
    (session,) = lab.received(name)
    heard = [line for line in session.transcript if line.text in HEARD]
    assert [line.text for line in heard] == HEARD
    assert not any(line.encrypted for line in heard)
    assert not session.messages


async def test_what_follows_the_last_word_under_tls_is_heard_as_that(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(lab.authority.root_path))
    place = await lab.address("good")
    reader, writer = await asyncio.open_connection(place.address, place.port)
    await reader.readline()
    writer.write(b"STARTTLS\r\n")
    await reader.readline()
    await writer.start_tls(context, server_hostname=place.name)
    writer.write(b"QUIT\r\n" + ENVELOPE)
    await reader.read()
    writer.close()
    await lab.wait_until_idle("good")
    (session,) = lab.received("good")
    assert said(session.transcript) == ["STARTTLS", "QUIT", *HEARD]
    assert session.transcript[-1].encrypted


async def test_a_password_behind_a_refused_log_in_is_not_kept_by_a_silent_receiver(
    lab: Lab,
) -> None:
    place = await lab.address("starttls-silence")
    reader, writer = await asyncio.open_connection(place.address, place.port)
    await reader.readline()
    writer.write(b"AUTH CRAM-MD5\r\nSTARTTLS\r\nc2VjcmV0\r\n" + ENVELOPE)
    writer.write_eof()
    await reader.read()
    writer.close()
    await lab.wait_until_idle("starttls-silence")
    (session,) = lab.received("starttls-silence")
    assert "c2VjcmV0" not in str(session.transcript)
    assert said(session.transcript)[-2:] == HEARD
