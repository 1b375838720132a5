"""Five relays of our own, one for each setting, each before a lab: what the audits run on."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path

import aiosmtplib

from relay.audit.runner import Arrived, Look, RelayUnderTest, Sent
from relay.cli.state import passing_state
from relay.config.policy_file import load_policy_text
from relay.core.replies import Reply, ReplyMode
from relay.core.settings import Protection, TlsSetting
from relay.core.verdicts import Deliver
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab

SENDER = "sender@example.test"
_PATIENCE = "connect_timeout: 5s\ncommand_timeout: 5s\ndns: {timeout: 5s}\n"
"""How long a relay waits for those that never answer.

All others answer at once, but in the process that asks, and with many at work side by side: on a
busy machine that takes seconds, and must not pass for a fault.
"""


@dataclass(frozen=True, slots=True)
class OwnRelay:
    """One of our relays, reached over its SMTP listener like any other."""

    relay: Relay

    async def send(self, recipient: str, mark: str) -> Sent:
        """Send a message that bears `mark`; see `RelayUnderTest`."""
        assert self.relay.policy.delivery.reply is ReplyMode.INLINE
        message_id = f"<{mark}@relaylab.test>"
        endpoint = self.relay.endpoints[0]
        client = aiosmtplib.SMTP(
            hostname=endpoint.host,
            port=endpoint.port,
            start_tls=False,
            local_hostname="audit.test",
            timeout=60,
        )
        async with client:
            await client.mail(SENDER)
            await client.rcpt(recipient)
            try:
                code, text = await client.data(_message(recipient, message_id))
            except aiosmtplib.SMTPResponseException as error:
                code, text = error.code, error.message
        reply = Reply(code=code, text=text)
        return Sent(
            code=reply.status.code,
            enhanced=reply.status.enhanced,
            text=reply.words,
            protection=self._protection(message_id),
        )

    def _protection(self, message_id: str) -> Protection | None:
        found = self.relay.journal.find_by_message_id_header(message_id)
        attempts = self.relay.journal.message(found).attempts if found else ()
        verdict = attempts[-1].verdict if attempts else None
        return verdict.protection if isinstance(verdict, Deliver) else None


def _message(recipient: str, message_id: str) -> bytes:
    return (
        f"From: {SENDER}\r\nTo: {recipient}\r\nSubject: Relaylab audit\r\n"
        f"Date: {formatdate()}\r\nMessage-ID: {message_id}\r\n\r\n"
        "This message is either delivered whole or not at all.\r\n"
    ).encode("ascii")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A relay of ours that runs under one setting, and the lab before it."""

    relay: Relay
    lab: Lab


@contextlib.asynccontextmanager
async def own_relay(
    setting: TlsSetting, *, authority: LabAuthority, base: Path
) -> AsyncIterator[Standing]:
    """Start a lab and a relay under one setting, on free ports, its journal below `base`."""
    async with Lab(authority, now=lambda: datetime.now(UTC)) as lab:
        options = RelayOptions(
            listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
            journal=base / setting.value / "journal.sqlite3",
            bounce_lines=None,
            certificates=base / "certs",
        )
        policy = load_policy_text(f"tls: {setting.label}\n{_PATIENCE}", name=setting.label)
        async with Relay(policy, options, lab=lab) as relay:
            yield Standing(relay=relay, lab=lab)


@contextlib.asynccontextmanager
async def own_relays() -> AsyncIterator[tuple[Mapping[TlsSetting, RelayUnderTest], Look]]:
    """Start a lab and a relay for each setting, on free ports; all of it is gone at the end.

    The labs are of one authority, but what one receiver goes through by turns is each one's own.
    """
    with passing_state() as base:
        authority = LabAuthority(base / "certs")
        async with contextlib.AsyncExitStack() as stack:
            standing = {
                setting: await stack.enter_async_context(
                    own_relay(setting, authority=authority, base=base)
                )
                for setting in TlsSetting
            }
            labs = [one.lab for one in standing.values()]

            def look(marks: Sequence[str]) -> Mapping[str, Arrived]:
                kept = [m for lab in labs for name in lab.endpoints for m in lab.messages(name)]
                stored = {mark: [m for m in kept if mark.encode() in m.content] for mark in marks}
                return {
                    mark: Arrived(copies=len(own), encrypted=all(m.encrypted for m in own))
                    for mark, own in stored.items()
                }

            yield {setting: OwnRelay(one.relay) for setting, one in standing.items()}, look
