"""Mail sent in by a real Postfix that trusts the lab's root and accepts nothing less than it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from e2e_relay import Start, text_message
from judge_postfix_client import postfix_client

pytestmark = pytest.mark.judge("postfix", root=True)


def body(message: bytes) -> bytes:
    return message.partition(b"\r\n\r\n")[2]


async def test_postfix_verifies_us_and_its_message_arrives_unchanged(
    start: Start, certificates: Path
) -> None:
    message = text_message("a@good.lab.test", "postfix")
    async with (
        start("required-verify") as running,
        postfix_client(running.port(), ca=(certificates / "lab-root.pem").read_bytes()) as postfix,
    ):
        await postfix.submit("a@good.lab.test", message)
        line = await postfix.until("status=sent", "to=<a@good.lab.test>")
        assert "dsn=2." in line
        assert "Verified TLS connection established to localhost[127.0.0.1]" in postfix.log
        (stored,) = running.lab.messages("good")
        # Postfix may fold or add fields of the header; the body is the sender's.
        assert body(stored.content) == body(message)
        assert b"Subject: postfix\r\n" in stored.content
        trace = stored.content.partition(b"by client.test (Postfix)")[0]
        assert trace.startswith(b"Received: from client.test ")
        assert b"TLSv1.3" in trace


async def test_postfix_defers_with_our_text(start: Start, certificates: Path) -> None:
    async with (
        start("required-verify") as running,
        postfix_client(running.port(), ca=(certificates / "lab-root.pem").read_bytes()) as postfix,
    ):
        await postfix.submit("a@expired.lab.test", text_message("a@expired.lab.test", "postfix"))
        line = await postfix.until("to=<a@expired.lab.test>", "status=")
        assert "dsn=4.7.5, status=deferred (host localhost[127.0.0.1] said: 451 4.7.5 " in line
        assert "[internal] remote node SSL certificate not signed by a valid CA" in line
        assert "(in reply to end of DATA command)" in line
        assert running.lab.messages("expired") == ()


async def test_postfix_bounces_what_a_host_refuses_for_good(
    start: Start, certificates: Path
) -> None:
    async with (
        start("required-verify") as running,
        postfix_client(running.port(), ca=(certificates / "lab-root.pem").read_bytes()) as postfix,
    ):
        to = "nobody@user-unknown.lab.test"
        await postfix.submit(to, text_message(to, "postfix"))
        line = await postfix.until(f"to=<{to}>", "status=")
        assert "dsn=5.1.1, status=bounced (host localhost[127.0.0.1] said: 550 5.1.1 " in line


async def test_postfix_does_not_trust_us_by_another_root(start: Start) -> None:
    async with (
        start("required-verify") as running,
        postfix_client(running.port(), ca=trustme.CA().cert_pem.bytes()) as postfix,
    ):
        await postfix.submit("a@good.lab.test", text_message("a@good.lab.test", "postfix"))
        line = await postfix.until("to=<a@good.lab.test>", "status=")
        assert "dsn=4.7.5, status=deferred (Server certificate not verified)" in line
        assert running.lab.received("good") == ()
