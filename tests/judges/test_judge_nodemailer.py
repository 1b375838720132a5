"""Mail sent in by nodemailer, the client of most programs for Node."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from e2e_relay import Running, Start, text_message
from judge_node import Node

from relay.inbound.listeners import ListenerKind

ALL = tuple(ListenerKind)
pytestmark = pytest.mark.judge("node", "npm")


async def send(
    node: Node, running: Running, kind: ListenerKind, *to: str, message: bytes, **options: Any
) -> dict[str, Any]:
    transport = {
        "host": "localhost",
        "port": running.port(kind),
        "name": "client.test",
        "secure": kind is ListenerKind.SMTPS,
        "requireTLS": True,
        **options,
    }
    question = {
        "transport": transport,
        "envelope": {"from": "sender@example.test", "to": to},
        "raw": base64.b64encode(message).decode(),
    }
    return await node.ask("send.cjs", question)


def trusting(certificates: Path) -> dict[str, Any]:
    return {"tls": {"ca": (certificates / "lab-root.pem").read_text()}}


@pytest.mark.parametrize("kind", ALL)
async def test_nodemailer_verifies_us_and_its_message_arrives_unchanged(
    node: Node, start: Start, certificates: Path, kind: ListenerKind
) -> None:
    options = trusting(certificates)
    if kind is ListenerKind.SUBMISSION:
        options["auth"] = {"user": "somebody", "pass": "s3cret-word"}
    to = ["a@good.lab.test", "b@good.lab.test"]
    message = text_message(to[0], "nodemailer")
    async with start("required-verify", kinds=ALL) as running:
        answer = await send(node, running, kind, *to, message=message, **options)
        assert answer.get("accepted") == to, answer
        assert answer["response"].startswith("250 2.")
        (stored,) = running.lab.messages("good")
        assert stored.content.endswith(b"\r\n" + message)
        assert b"TLSv1.3" in stored.content.removesuffix(message)
        assert stored.recipients == tuple(to)
        sessions = running.relay.journal.sessions(10)
    assert "s3cret-word" not in repr(sessions)


async def test_nodemailer_does_not_trust_us_without_the_labs_root(node: Node, start: Start) -> None:
    message = text_message("a@good.lab.test", "nodemailer")
    async with start("required-verify", kinds=ALL) as running:
        answer = await send(node, running, ListenerKind.SMTP, "a@good.lab.test", message=message)
        assert "certificate" in answer["error"]["message"]
        assert running.lab.received("good") == ()


async def test_nodemailer_reports_the_bounce_with_our_code_and_text(
    node: Node, start: Start, certificates: Path
) -> None:
    message = text_message("a@expired.lab.test", "nodemailer")
    async with start("required-verify", kinds=ALL) as running:
        answer = await send(
            node, running, ListenerKind.SMTP, "a@expired.lab.test",
            message=message, **trusting(certificates),
        )  # fmt: skip
        error = answer["error"]
        assert (error["code"], error["command"], error["responseCode"]) == ("EMESSAGE", "DATA", 451)
        assert error["response"] == (
            "451 4.7.5 [internal] remote node SSL certificate not signed by a valid CA"
        )
        assert running.lab.messages("expired") == ()
