"""A sender that does anything, in any order, and notes what it put on the wire of whom.

Its notes are the oracle: they are made where the octets leave, and no receiver has a say in them.
"""

from __future__ import annotations

import asyncio
import random
import ssl
from dataclasses import dataclass, field
from typing import Final

from prove_harness import SmallClient

from relay.audit.proof import Reported, Told
from relay.audit.shown import Marked
from relay.core.settings import TlsMode

_PATIENCE: Final = 0.15
"""Seconds for a reply: what is said is noted, whether or not anybody answers."""
_OTHERS = "somebody@else.example.test"


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was said to a receiver: of a marked message (`mark`), or of no known one."""

    receiver: str
    mark: str | None
    encrypted: bool
    text: str


class _Over(Exception):  # noqa: N818 - the regular end of a session
    """The connection is gone."""


@dataclass
class Adversary(SmallClient):
    """Hands the known-good message over as it should, and plays a random script for all others."""

    rng: random.Random = field(default_factory=random.Random)
    others: tuple[str, ...] = ()
    notes: list[Note] = field(default_factory=list)
    script: list[str] = field(default_factory=list)

    async def send(self, marked: Marked) -> Reported | None:
        if marked.scenario == "good":
            return await super().send(marked)
        # Each message has a chance of its own, whatever the others do meanwhile.
        rng = random.Random(self.rng.random())
        for _ in range(rng.choice([1, 1, 2, 3])):
            at = rng.choice([marked.scenario] * 4 + [*self.others])
            await _Session(self, marked, at, rng).run()
        return Reported(by=Told.REPLY, text="550 no", final=rng.random() < 0.9)


class _Session:
    """One connection: steps until one of them ends it."""

    def __init__(self, by: Adversary, marked: Marked, at: str, rng: random.Random) -> None:
        self._by, self._marked, self._at, self._rng = by, marked, at, rng
        self._encrypted = False

    async def run(self) -> None:
        place = await self._by.lab.address(self._at)
        self._reader, self._writer = await asyncio.open_connection(place.address, place.port)
        self._name = place.name
        try:
            if place.mode is TlsMode.IMPLICIT and self._rng.random() < 0.7:
                await self._handshake()
            await self._answer()
            steps = self._plan()
            for step in steps:
                await self._take(step)
        except (_Over, OSError, ssl.SSLError, asyncio.IncompleteReadError):
            pass
        finally:
            await self._leave()

    def _plan(self) -> list[str]:
        mark = self._marked.mark
        content = f"Subject: {mark}\r\n\r\nhello\r\n"
        envelope = [f"MAIL FROM:<{mark}@good.lab.test>", f"RCPT TO:<{self._marked.recipient}>"]
        rewritten = ["MAIL FROM:<srs@relay.test>", f"RCPT TO:<{_OTHERS}>"]
        parts = {
            "ehlo": ["EHLO client.test"],
            "helo": ["HELO client.test"],
            "tls": ["*tls", "EHLO client.test"],
            "broken tls": ["*no-tls"],
            "message": [*envelope, "DATA", "~" + content + ".\r\n"],
            "small letters": [line.lower() for line in envelope] + ["data"],
            "rewritten": [*rewritten, "DATA", "~" + content + ".\r\n"],
            "of others": [*rewritten, "DATA", "~Subject: news\r\n\r\nx\r\n.\r\n"],
            "cut off": [*envelope, "DATA", "~" + content[:12], "*close"],
            "rewritten and cut off": [*rewritten, "DATA", "~" + content[:12], "*close"],
            "recipient alone": [f"RCPT TO:<{self._marked.recipient}>"],
            "sender alone": ["MAIL FROM:<bounces@relay.test>"],
            "half a line": ["~" + envelope[0], "*close"],
            "chunks": [*envelope, f"BDAT {len(content)} LAST", "~" + content],
            "log in": ["AUTH PLAIN AHVzZXIAc2VjcmV0"],
            "ask": [f"VRFY {self._marked.recipient}"],
            "reset": ["RSET"],
            "nothing": ["NOOP"],
            "quit": ["QUIT"],
            "hurry": ["*hurry"],
        }  # fmt: skip
        weights = [3 if name in {"ehlo", "tls", "broken tls"} else 1 for name in parts]
        chosen = self._rng.choices(list(parts), weights, k=self._rng.choice([1, 2, 2, 3, 5]))
        self._by.script.append(f"{self._marked.scenario} at {self._at}: {', '.join(chosen)}")
        return [step for name in chosen for step in parts[name]]

    async def _take(self, step: str) -> None:
        match step:
            case "*tls":
                await self._say("STARTTLS\r\n")
                if (await self._answer()).startswith(b"220"):
                    await self._handshake()
            case "*no-tls":
                await self._say("STARTTLS\r\n")
                await self._answer()
            case "*close":
                raise _Over
            case "*hurry":
                self._hurry = True
            case _ if step.startswith("~"):
                await self._say(step[1:])
            case _:
                await self._say(step + "\r\n")
                await self._answer()

    _hurry = False

    async def _say(self, text: str) -> None:
        if self._writer.is_closing() or self._reader.exception():
            raise _Over
        self._writer.write(text.encode())
        await self._writer.drain()
        lower = text.lower()
        if self._marked.mark in lower or lower.startswith(("mail", "rcpt", "auth", "bdat")):
            mark = self._marked.mark if self._marked.mark in lower else None
            self._by.notes.append(Note(self._at, mark, self._encrypted, text))

    async def _answer(self) -> bytes:
        if self._hurry:
            return b""
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    line = await self._reader.readline()
                    if line[3:4] != b"-" or not line:
                        return line
        except TimeoutError:
            return b""

    async def _handshake(self) -> None:
        anything = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anything.check_hostname, anything.verify_mode = False, ssl.CERT_NONE
        async with asyncio.timeout(1):
            await self._writer.start_tls(anything, server_hostname=self._name)
        self._encrypted = True

    async def _leave(self) -> None:
        try:
            if not self._encrypted and self._rng.random() < 0.5:
                self._writer.write_eof()
                async with asyncio.timeout(_PATIENCE):
                    await self._reader.read()
        except (OSError, TimeoutError, RuntimeError):
            pass
        self._writer.close()
        try:
            async with asyncio.timeout(1):
                await self._writer.wait_closed()
        except (OSError, TimeoutError):
            pass
