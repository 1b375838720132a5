"""Mail sent in by software that nobody here wrote: swaks, curl, Python's smtplib."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from pathlib import Path

import pytest
from e2e_relay import Running, Start, text_message

from relay.inbound.listeners import ListenerKind

ALL = tuple(ListenerKind)


async def run(*command: str, stdin: bytes = b"") -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(stdin), 60)
    assert process.returncode is not None
    return process.returncode, output.decode(errors="replace")


def swaks(running: Running, kind: ListenerKind, to: str, *more: str) -> tuple[str, ...]:
    return (
        "swaks", "--server", "127.0.0.1", "--port", str(running.port(kind)),
        "--from", "sender@example.test", "--to", to, "--helo", "client.test",
        "--header", "Subject: from swaks", *more,
    )  # fmt: skip


@pytest.mark.judge("swaks")
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        (ListenerKind.SMTP, ()),
        (ListenerKind.SMTP, ("--tls",)),
        (ListenerKind.SMTPS, ("--tls-on-connect",)),
        (
            ListenerKind.SUBMISSION,
            ("--tls", "--auth", "PLAIN", "--auth-user", "u", "--auth-password", "s3cret-word"),
        ),
        (
            ListenerKind.SUBMISSION,
            ("--tls", "--auth", "LOGIN", "--auth-user", "u", "--auth-password", "s3cret-word"),
        ),
        (ListenerKind.SMTP, ("--pipeline",)),
    ],
    ids=["clear", "starttls", "implicit-tls", "auth-plain", "auth-login", "pipelined"],
)
async def test_swaks(start: Start, kind: ListenerKind, more: tuple[str, ...]) -> None:
    async with start("required-verify", kinds=ALL) as running:
        code, output = await run(*swaks(running, kind, "a@good.lab.test", *more))
        assert code == 0, output
        (message,) = running.lab.messages("good")
        assert b"Subject: from swaks\r\n" in message.content
        sessions = running.relay.journal.sessions(10)
    assert "s3cret-word" not in repr(sessions)
    for file in running.state.iterdir():
        if file.is_file():
            assert b"s3cret-word" not in file.read_bytes()


@pytest.mark.judge("swaks")
async def test_swaks_sees_the_bounce_itself(start: Start) -> None:
    async with start("required-verify") as running:
        code, output = await run(*swaks(running, ListenerKind.SMTP, "a@expired.lab.test"))
        assert code == 26, output  # swaks: error in reply to the message
        assert "451 4.7.5 [internal] remote node SSL certificate not signed" in output


@pytest.mark.judge("swaks")
async def test_swaks_submission_demands_starttls_then_auth(start: Start) -> None:
    async with start("required-verify", kinds=ALL) as running:
        bare = swaks(running, ListenerKind.SUBMISSION, "a@good.lab.test")
        _, output = await run(*bare)
        assert "530 5.7.0" in output
        _, output = await run(*bare, "--tls")
        assert "530 5.7.0" in output
        assert running.lab.received("good") == ()


@pytest.mark.judge("curl")
@pytest.mark.parametrize("kind", [ListenerKind.SMTP, ListenerKind.SMTPS])
async def test_curl_verifies_our_certificate(
    start: Start, certificates: Path, tmp_path: Path, kind: ListenerKind
) -> None:
    message = tmp_path / "message.eml"
    message.write_bytes(text_message("a@good.lab.test", "curl"))
    scheme = "smtps" if kind is ListenerKind.SMTPS else "smtp"
    async with start("required-verify", kinds=ALL) as running:
        code, output = await run(
            "curl", "-sS", "--url", f"{scheme}://localhost:{running.port(kind)}/client.test",
            "--ssl-reqd", "--cacert", str(certificates / "lab-root.pem"),
            "--mail-from", "sender@example.test", "--mail-rcpt", "a@good.lab.test",
            "--upload-file", str(message),
        )  # fmt: skip
        assert code == 0, output
        (stored,) = running.lab.messages("good")
        assert stored.content.endswith(message.read_bytes())


@pytest.mark.parametrize("kind", ALL)
async def test_smtplib(start: Start, certificates: Path, kind: ListenerKind) -> None:
    context = ssl.create_default_context(cafile=str(certificates / "lab-root.pem"))

    def submit(port: int) -> dict[str, tuple[int, bytes]]:
        client: smtplib.SMTP
        if kind is ListenerKind.SMTPS:
            client = smtplib.SMTP_SSL("localhost", port, "client.test", context=context)
        else:
            client = smtplib.SMTP("localhost", port, "client.test")
            client.starttls(context=context)
        with client:
            if kind is ListenerKind.SUBMISSION:
                client.login("user", "any password")
            return client.sendmail(
                "sender@example.test",
                ["a@good.lab.test", "b@good.lab.test"],
                text_message("a@good.lab.test", "smtplib"),
            )

    async with start("required-verify", kinds=ALL) as running:
        assert await asyncio.to_thread(submit, running.port(kind)) == {}
        (stored,) = running.lab.messages("good")
        assert stored.recipients == ("a@good.lab.test", "b@good.lab.test")
        assert stored.encrypted
        assert stored.content.endswith(text_message("a@good.lab.test", "smtplib"))
