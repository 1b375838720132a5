"""A relay in process, on free ports, with a lab of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib

from relay.core.records import Attempt, Bounce, Envelope, Session
from relay.core.replies import Reply
from relay.engine.relay import Relay
from relay.inbound.listeners import ListenerKind
from relay.journal.api import MessageRecord
from relay.lab.lab import Lab
from relay.testing.turned_clock import TurnedClock

__all__ = ["POLICIES", "Running", "Start", "TurnedClock", "Watcher", "text_message"]

POLICIES = Path(__file__).parents[2] / "policies"


def text_message(to: str = "someone@example.test", mark: str = "hello") -> bytes:
    message = EmailMessage()
    message["From"] = "sender@example.test"
    message["To"] = to
    message["Subject"] = mark
    message["Message-ID"] = f"<{mark}@example.test>"
    message.set_content(f"{mark}\n.leading dot\n")
    return message.as_bytes().replace(b"\n", b"\r\n")


@dataclass
class Running:
    """A relay under test and its lab."""

    relay: Relay
    lab: Lab
    state: Path
    sent: list[Reply] = field(default_factory=list)

    def port(self, kind: ListenerKind = ListenerKind.SMTP) -> int:
        return next(e.port for e in self.relay.endpoints if e.kind is kind)

    async def send(
        self, *to: str, sender: str = "sender@example.test", mark: str = "hello"
    ) -> Reply:
        """Send one message in clear to the SMTP listener; return the reply to the end of data."""
        client = aiosmtplib.SMTP(
            hostname="127.0.0.1", port=self.port(), start_tls=False, local_hostname="client.test"
        )
        async with client:
            await client.mail(sender)
            for recipient in to:
                await client.rcpt(recipient)
            try:
                code, text = await client.data(text_message(to[0], mark))
            except aiosmtplib.SMTPResponseException as error:
                code, text = error.code, error.message
        return Reply(code=code, text=text)

    def record(self, mark: str = "hello") -> MessageRecord:
        found = self.relay.journal.find_by_message_id_header(f"<{mark}@example.test>")
        assert found is not None
        return self.relay.journal.message(found)


Start = Callable[..., AbstractAsyncContextManager[Running]]


class Watcher:
    """An observer that a test can wait on."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.bounces: list[Bounce] = []
        self.accepted_envelopes: list[Envelope] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    def accepted(self, envelope: Envelope) -> None:
        self.accepted_envelopes.append(envelope)
        self._tell()

    def attempted(self, envelope: Envelope, attempt: Attempt, session: Session | None) -> None:
        self.attempts.append(attempt)
        self._tell()

    def bounced(self, bounce: Bounce) -> None:
        self.bounces.append(bounce)
        self._tell()

    def _tell(self) -> None:
        async def notify() -> None:
            async with self._changed:
                self._changed.notify_all()

        task = asyncio.get_running_loop().create_task(notify())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20), self._changed:
            await self._changed.wait_for(condition)
