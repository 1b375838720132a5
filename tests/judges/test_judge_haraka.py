"""A real Haraka follows `relay lab export --for haraka` to the lab's receivers."""

from __future__ import annotations

import asyncio
import smtplib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from judge_haraka import haraka

from relay.lab.authority import LabAuthority
from relay.lab.exports import ExportFor, export
from relay.lab.lab import Lab

pytestmark = pytest.mark.judge("node", "npm")

DOMAINS = ("good", "expired", "no-starttls", "mailbox-full", "implicit-tls")


def deliver(port: int, domain: str) -> int:
    """Send a message; return the code that Haraka answers with, of the host where it refuses."""
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
            client.sendmail("a@example.test", f"x@{domain}", f"Subject: {domain}\n\nhi\n")
    except smtplib.SMTPRecipientsRefused as error:
        (answer,) = error.recipients.values()
        return answer[0]
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    return 250


async def test_haraka_takes_each_domain_to_its_receiver(tmp_path: Path, certificates: Path) -> None:
    async with Lab(LabAuthority(certificates), now=lambda: datetime.now(UTC)) as lab:
        places = {name: await lab.address(name) for name in DOMAINS}
        routes = "\n".join(export(places, ExportFor.HARAKA))
        codes: dict[str, int] = {}
        async with haraka(tmp_path / "haraka", routes) as port:
            for name in (*DOMAINS, "elsewhere"):
                codes[name] = await asyncio.to_thread(deliver, port, f"{name}.lab.test")
        got = {name: [m.encrypted for m in lab.messages(name)] for name in DOMAINS}
    assert codes == {
        "good": 250,
        "expired": 250,
        "no-starttls": 250,
        "mailbox-full": 450,
        "implicit-tls": 550,
        "elsewhere": 550,
    }
    assert got == {
        "good": [True],
        "expired": [True],
        "no-starttls": [False],
        "mailbox-full": [],
        "implicit-tls": [],
    }
