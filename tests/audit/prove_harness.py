"""Proofs of relays in process, and of a small client that can be broken in one way."""

from __future__ import annotations

import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import aiosmtplib

from relay.audit.proof import Reported, Told, Verdict
from relay.audit.prove import Progress, Prover, ScenarioRecord, Sender
from relay.audit.prove_sender import RelaySender, marked_messages, message_for, reverse_path
from relay.audit.shown import Marked
from relay.config.policy_file import load_policy_text
from relay.core.settings import TlsSetting
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.lab.lab import Lab

_RUNS = itertools.count(1)
WAIT = timedelta(seconds=20)


async def proven(
    lab: Lab,
    sender: Sender,
    *scenarios: str,
    claim: TlsSetting = TlsSetting.REQUIRED_VERIFY,
    to: Mapping[str, str] | None = None,
    wait: timedelta = WAIT,
    linger: timedelta = timedelta(),
    progress: Progress = lambda _: None,
) -> dict[str, ScenarioRecord]:
    """Prove; `to` gives mail domains other than the scenarios' own. Returns what was found.

    What has an end is not waited for any longer, unless `linger` says so.
    """
    names = ("good", *scenarios)
    marked = marked_messages(next(_RUNS), names, tuple(range(len(names))))
    domains = to or {}
    marked = tuple(
        replace(one, recipient=f"{one.mark}@{domains[one.scenario]}")
        if one.scenario in domains
        else one
        for one in marked
    )
    prover = Prover(lab, sender, claim, marked, wait=wait, linger=linger, progress=progress)
    await prover.start()
    return {record.marked.scenario: record for record in await prover.run()}


def verdicts(found: Mapping[str, ScenarioRecord]) -> dict[str, Verdict]:
    return {name: record.proof.verdict for name, record in found.items()}


def proving_line(record: ScenarioRecord) -> str:
    """Return the line of a transcript that proves a leak."""
    (line,) = (line for line in record.proof.evidence if line.startswith("LEAK "))
    return line.removeprefix("LEAK ")


@contextlib.asynccontextmanager
async def relay_sender(policy: str, lab: Lab, state: Path) -> AsyncIterator[RelaySender]:
    """Start a relay of ours under this policy before the lab."""
    options = RelayOptions(
        listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
        journal=state / "journal.sqlite3",
        bounce_lines=None,
        certificates=lab.authority.root_path.parent,
    )
    async with Relay(load_policy_text(policy, name="test.yaml"), options, lab=lab) as relay:
        endpoint = relay.endpoints[0]
        yield RelaySender(host=endpoint.host, port=endpoint.port, wait=WAIT)


@dataclass
class SmallClient:
    """Delivers straight to the receivers, verified and with a login; a subclass breaks it."""

    lab: Lab
    open: list[aiosmtplib.SMTP] = field(default_factory=list)

    @property
    def by_hand(self) -> bool:
        return False

    async def send(self, marked: Marked) -> Reported | None:
        try:
            client = await self.connect(marked)
            await self.deliver(client, marked)
        except (aiosmtplib.SMTPException, OSError) as error:
            return Reported(by=Told.REPLY, text=type(error).__name__, final=True)
        finally:
            for client in self.open:
                client.close()
            self.open.clear()
        return Reported(by=Told.REPLY, text="sent", final=True)

    def context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.lab.authority.root_path))

    async def connect(self, marked: Marked) -> aiosmtplib.SMTP:
        client, name = await self.greet(marked)
        await client.starttls(server_hostname=name, tls_context=self.context())
        await self.log_in(client)
        return client

    async def greet(self, marked: Marked) -> tuple[aiosmtplib.SMTP, str]:
        place = await self.lab.address(marked.scenario)
        client = aiosmtplib.SMTP(
            hostname=place.address, port=place.port, start_tls=False, local_hostname="client.test"
        )
        await client.connect()
        self.open.append(client)
        await client.ehlo()
        return client, place.name

    async def log_in(self, client: aiosmtplib.SMTP) -> None:
        await client.ehlo()
        await client.execute_command(b"AUTH", b"PLAIN", b"AHVzZXIAc2VjcmV0")

    async def deliver(self, client: aiosmtplib.SMTP, marked: Marked) -> None:
        await client.mail(reverse_path(marked))
        await client.rcpt(marked.recipient)
        await client.data(message_for(marked))
        await client.quit()
