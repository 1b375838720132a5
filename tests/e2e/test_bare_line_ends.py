"""The policy's `bare_line_ends`, from the client to the receiver and into the session's record."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from e2e_relay import Running, Start

from relay.core.records import SessionDirection
from relay.journal.sqlite_journal import open_journal

SENT = b"Message-ID: <hello@example.test>\nSubject: bare\n\none\n..two\r\n.\nthree\r\n"
NORMALISED = b"Subject: bare\r\n\r\none\r\n.two\r\n\r\nthree\r\n"


async def send_raw(running: Running) -> bytes:
    """Say what no library would; return the reply to the end of data."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port())
    await reader.readline()
    replies = []
    for said in (
        b"HELO client.test\r\n",
        b"MAIL FROM:<sender@example.test>\r\n",
        b"RCPT TO:<someone@example.test>\r\n",
        b"DATA\r\n",
        SENT + b".\r\n",
        b"QUIT\r\n",
    ):
        writer.write(said)
        replies.append(await reader.readline())
    writer.close()
    await writer.wait_closed()
    return replies[-2]


async def inbound_record(state: Path) -> str:
    """The only inbound session of a relay that has stopped."""
    journal = open_journal(state / "journal.sqlite3", bounce_lines=None)
    try:
        (session,) = (
            s for s in journal.reader.sessions(10) if s.direction is SessionDirection.INBOUND
        )
    finally:
        await journal.close()
    return "\n".join(line.text for line in session.transcript)


@pytest.mark.parametrize("policy", ["tls: Preferred\n", "bare_line_ends: refuse\n"])
async def test_refused_unless_the_policy_says_otherwise(start: Start, policy: str) -> None:
    async with start(policy) as running:
        assert (await send_raw(running)).startswith(b"550 5.5.2 ")
        assert running.lab.messages("capture") == ()
    record = await inbound_record(running.state)
    assert "a message was refused, bare-line-end: 5 bare LF, among them CR LF . LF" in record


async def test_normalised_on_the_way_to_the_receiver(start: Start) -> None:
    async with start("bare_line_ends: normalise\n") as running:
        assert (await send_raw(running)).startswith(b"250 2.0.0 ")
        (message,) = running.lab.messages("capture")
        assert message.content.endswith(NORMALISED)
    assert "made CR LF: 5 bare LF, among them CR LF . LF" in await inbound_record(running.state)
