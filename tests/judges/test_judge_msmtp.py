"""Mail sent in by msmtp, which knows TLS by GnuTLS and speaks through its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme
from e2e_relay import Running, Start, text_message
from judge_programs import Ended, run

from relay.inbound.listeners import ListenerKind

ALL = tuple(ListenerKind)

# sysexits.h; msmtp has this one code for a host that it does not trust and for a refused message.
EX_UNAVAILABLE = 69


async def msmtp(
    running: Running, kind: ListenerKind, to: str, message: bytes, **settings: str
) -> Ended:
    """Send a message with a configuration file of its own; `settings` with _ for the hyphen."""
    lines = {
        "host": "localhost",
        "port": str(running.port(kind)),
        "domain": "client.test",
        "from": "sender@example.test",
        "set_date_header": "off",
        "set_from_header": "off",
        "set_msgid_header": "off",
        **settings,
    }
    text = "".join(f"{key} {value}\n" for key, value in lines.items())
    file = running.state / "msmtprc"
    file.write_text("defaults\naccount default\n" + text)
    file.chmod(0o600)
    # It takes the host's own line ends and makes CRLF of them.
    return await run("msmtp", f"--file={file}", "--", to, stdin=message.replace(b"\r\n", b"\n"))


def with_tls(certificates: Path) -> dict[str, str]:
    return {
        "tls": "on",
        "tls_starttls": "on",
        "tls_trust_file": str(certificates / "lab-root.pem"),
    }


@pytest.mark.judge("msmtp")
@pytest.mark.parametrize("kind", ALL)
async def test_msmtp_verifies_us_and_its_message_arrives_unchanged(
    start: Start, certificates: Path, kind: ListenerKind
) -> None:
    settings = with_tls(certificates)
    if kind is ListenerKind.SMTPS:
        settings["tls_starttls"] = "off"
    if kind is ListenerKind.SUBMISSION:
        settings |= {"auth": "plain", "user": "somebody", "password": "s3cret-word"}
    message = text_message("a@good.lab.test", "msmtp")
    async with start("required-verify", kinds=ALL) as running:
        ended = await msmtp(running, kind, "a@good.lab.test", message, **settings)
        assert (ended.code, ended.output) == (0, "")
        (stored,) = running.lab.messages("good")
        assert stored.content.endswith(b"\r\n" + message)
        assert b"TLSv1.3" in stored.content.removesuffix(message)
        assert stored.reverse_path == "sender@example.test"
        sessions = running.relay.journal.sessions(10)
    assert "s3cret-word" not in repr(sessions)


@pytest.mark.judge("msmtp")
async def test_msmtp_with_its_strongest_login(start: Start, certificates: Path) -> None:
    """`auth on` lets msmtp choose among the mechanisms that EHLO lists."""
    settings = {**with_tls(certificates), "auth": "on", "user": "u", "password": "any"}
    message = text_message("a@good.lab.test", "msmtp")
    async with start("required-verify", kinds=ALL) as running:
        kind = ListenerKind.SUBMISSION
        ended = await msmtp(running, kind, "a@good.lab.test", message, **settings)
        assert (ended.code, ended.output) == (0, "")
        assert len(running.lab.messages("good")) == 1


@pytest.mark.judge("msmtp")
async def test_msmtp_does_not_trust_us_by_another_root(
    start: Start, certificates: Path, tmp_path: Path
) -> None:
    """So that what it says with the root means something."""
    other = tmp_path / "other-root.pem"
    trustme.CA().cert_pem.write_to_path(other)
    settings = with_tls(certificates) | {"tls_trust_file": str(other)}
    message = text_message("a@good.lab.test", "msmtp")
    async with start("required-verify", kinds=ALL) as running:
        ended = await msmtp(running, ListenerKind.SMTP, "a@good.lab.test", message, **settings)
        assert ended.code == EX_UNAVAILABLE
        assert "TLS certificate verification failed" in ended.output
        assert running.lab.received("good") == ()


@pytest.mark.judge("msmtp")
async def test_msmtp_reports_the_bounce_with_our_text(start: Start, certificates: Path) -> None:
    message = text_message("a@expired.lab.test", "msmtp")
    async with start("required-verify", kinds=ALL) as running:
        ended = await msmtp(
            running, ListenerKind.SMTP, "a@expired.lab.test", message, **with_tls(certificates)
        )
        assert ended.code == EX_UNAVAILABLE, ended.output
        assert (
            "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA"
            in ended.output
        )
        assert running.lab.messages("expired") == ()
