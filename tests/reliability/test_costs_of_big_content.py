"""How often a big message's octets are looked at, counted; and that it arrives as it was sent."""

from __future__ import annotations

import asyncio
import hashlib
import smtplib

import pytest

import relay
from relay.core import content as content_module
from relay.inbound import content as inbound_content
from relay.testing.messages import records_of

HEAD = b"From: a@sender.test\r\nSubject: big\r\n\r\n"
LINE = b"QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWZnaGlqa2xtbm9wcXJzdHV2d3h5ejAx\r\n"
BODIES = {
    "base64": LINE * 8000,
    "dots": b".begins with a dot\r\nends with one.\r\n.\r\n" * 15_000,
    "eight-bit": "größer\r\n".encode() * 60_000,
}


@pytest.fixture
def scanned(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many octets each search for line ends has looked at."""
    sizes: list[int] = []
    only_crlf = content_module.only_crlf

    def counted(octets: bytes | bytearray) -> bool:
        sizes.append(len(octets))
        return only_crlf(octets)

    monkeypatch.setattr(content_module, "only_crlf", counted)
    monkeypatch.setattr(inbound_content, "only_crlf", counted)
    return sizes


def send(port: int, content: bytes) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("a@sender.test", ["b@good.lab.test"], content, ["BODY=8BITMIME"])


@pytest.mark.parametrize("name", BODIES)
async def test_line_ends_are_looked_for_once(name: str, scanned: list[int]) -> None:
    content = HEAD + BODIES[name]
    async with relay.Relay("required", lab=True) as running:
        await asyncio.to_thread(send, running.port, content)
        (received,) = running.received("good")
        (record,) = records_of(running._relay.journal)
    assert received.content.endswith(content)
    assert record.envelope.sha256 == hashlib.sha256(received.content).hexdigest()
    # The trace header is looked at besides, and dots are still stuffed when the message is.
    (whole,) = (size for size in scanned if size > 1000)
    assert whole >= len(content)
