"""Records that notices are made of, and a web server that takes them."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import record_builders as build
from record_builders import EXPIRED

from relay.core.addresses import Domain
from relay.core.faults import FaultKind, TlsFault
from relay.core.notices import Bounced, Notice, first_notice
from relay.core.outcomes import Deferred, Delivered, Outcome, Stage, TlsRefusal
from relay.core.records import Attempt, Bounce, BounceAction, Notified
from relay.core.replies import Reply, StatusCode
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver, RetryInClear, Terminate, Verdict

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
BANK = Domain("bank.test")
NOT_OFFERED = TlsFault(kind=FaultKind.STARTTLS_NOT_OFFERED, detail="EHLO names no STARTTLS")
SECRET = b"a secret of some length"


def a_bounce(
    number: int = 1,
    *,
    domain: str = BANK,
    at: datetime = NOON,
    status: str = "451 4.7.5",
    action: BounceAction = BounceAction.FAILED,
    reverse_path: str = "s@crm.test",
    recipient: str | None = None,
) -> Bounce:
    return build.bounce(
        id=f"b{number}",
        message_id=f"m{number}",
        recipient=recipient or f"u{number}@{domain}",
        reverse_path=reverse_path,
        action=action,
        status=StatusCode.parse(status),
        host=f"mx.{domain}",
        at=at,
        notified=Notified.CLIENT,
    )


def a_notice(number: int = 1, *, domain: str = BANK, at: datetime = NOON) -> Notice:
    return first_notice(Bounced(bounce=a_bounce(number, domain=domain, at=at)))


def an_attempt(
    verdict: Verdict | None,
    *,
    number: int = 1,
    setting: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    clear: bool = False,
) -> Attempt:
    outcome: Outcome
    match verdict:
        case Deliver(protection=protection):
            outcome = Delivered(reply=Reply(code=250, text="ok"), protection=protection)
        case _:
            faults = () if verdict is None else verdict.faults
            refusal = TlsRefusal(setting=setting, faults=faults, stage=Stage.HANDSHAKE)
            outcome = Deferred(failure=refusal)
    return build.attempt(
        id=f"a{number:03}",
        message_id=f"m{number}",
        clear=clear,
        rule=build.rule(setting),
        verdict=verdict,
        outcome=outcome,
        recipient="u@bank.test",
        at=NOON + timedelta(minutes=number),
    )


VERIFIED = Deliver(protection=Protection.VERIFIED)
ENCRYPTED = Deliver(protection=Protection.ENCRYPTED)
CLEAR = Deliver(protection=Protection.CLEAR)
TERMINATED = Terminate(faults=(EXPIRED,))
RETRIED = RetryInClear(faults=(EXPIRED,))


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Hook:
    """A web server on loopback; `answers` are given in turn, the last one from then on.

    The answer 0 is none at all: the connection stays open until the server ends.
    """

    answers: list[int]
    port: int = 0
    requests: list[Request] = field(default_factory=list)
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _serving: set[asyncio.Task[object]] = field(default_factory=set)

    async def until(self, number: int) -> list[Request]:
        """Wait for that many requests."""
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= number)
        return self.requests

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
                first, *fields = head.strip().split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in fields)}
                body = await reader.readexactly(int(headers["content-length"]))
                number = len(self.requests)
                answer = self.answers[min(number, len(self.answers) - 1)]
                async with self._changed:
                    self.requests.append(Request(first.split(" ")[1], headers, body))
                    self._changed.notify_all()
                if answer == 0:
                    await self._ended.wait()
                    break
                where = f"Location: http://127.0.0.1:{self.port}/elsewhere\r\n"
                writer.write(f"HTTP/1.1 {answer} X\r\n{where}Content-Length: 0\r\n\r\n".encode())
                await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def end(self) -> None:
        """Hang up on whoever still waits."""
        self._ended.set()
        if self._serving:
            await asyncio.wait(self._serving)


@contextlib.asynccontextmanager
async def a_hook(*answers: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Hook]:
    hook = Hook(list(answers))
    server = await asyncio.start_server(hook.serve, "127.0.0.1", 0, ssl=tls)
    hook.port = server.sockets[0].getsockname()[1]
    try:
        yield hook
    finally:
        server.close()
        await hook.end()
