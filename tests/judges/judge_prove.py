"""Real relays, each under one configuration, as a proof finds them."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from judge_exim_client import EximClient, exim_by_host
from judge_haraka import haraka
from judge_postfix_client import postfix_at_level
from prove_harness import relay_sender

from relay.audit.proof import Reported, Told, Verdict
from relay.audit.prove import Prover, ScenarioRecord, Sender, judge_again, promises_of
from relay.audit.prove_sender import RelaySender, marked_messages, message_for, reverse_path
from relay.audit.shown import Marked
from relay.audit.tries import APART, ATTEMPTS
from relay.core.routing import HostAddress
from relay.core.settings import TlsSetting
from relay.lab.authority import LabAuthority
from relay.lab.exports import ExportFor, export
from relay.lab.lab import Lab

EXIM = Path(__file__).parents[2] / ".cache/exim/usr/sbin/exim4"
SCENARIOS = (
    *("good", "tls13", "wildcard", "long-chain"),
    *("no-starttls", "starttls-stripped", "starttls-refused", "starttls-rejected"),
    *("starttls-then-close", "handshake-drop", "tls11-only", "null-cipher", "goto-fail"),
    *("expired", "not-yet-valid", "self-signed", "untrusted-root", "missing-intermediate"),
    *("wrong-host", "expired-and-wrong-host", "wrong-purpose", "name-constraint", "no-names"),
    *("common-name-only", "rsa-1024", "revoked"),
)
_WAIT = timedelta(seconds=60)


@dataclass
class EximSender:
    """Hands a message to Exim, and lets it try as often as counts for an end."""

    exim: EximClient

    @property
    def by_hand(self) -> bool:
        return False

    async def send(self, marked: Marked) -> Reported | None:
        ended = await self.exim.send(
            marked.recipient, message_for(marked), sender=reverse_path(marked)
        )
        assert ended.code == 0, ended.output
        for _ in range(ATTEMPTS - 1):
            # Tries count as such when time passes between them.
            await asyncio.sleep(1.5 * APART.total_seconds())
            await self.exim.try_again(marked.recipient)
        return Reported(by=Told.REPLY, text="taken", final=False)


@contextlib.asynccontextmanager
async def _postfix(
    level: str, places: Mapping[str, HostAddress], ca: bytes, *, modern: bool = False
) -> AsyncIterator[Sender]:
    transport, policies = (
        "\n".join(export(places, target)).encode()
        for target in (ExportFor.POSTFIX, ExportFor.POSTFIX_TLS)
    )
    tls = None
    if level in {"verify", "secure"}:
        tls = policies.replace(b" secure ", f" {level} ".encode())
    more = "smtp_tls_mandatory_protocols = >=TLSv1.2\n" if modern else ""
    async with postfix_at_level(level, transport=transport, ca=ca, tls=tls, more=more) as running:
        yield RelaySender(host="127.0.0.1", port=running.port, wait=_WAIT)


@contextlib.asynccontextmanager
async def _exim(level: str, places: Mapping[str, HostAddress], ca: bytes) -> AsyncIterator[Sender]:
    routes = {f"{name}.lab.test": (level, place.name, place.port) for name, place in places.items()}
    with exim_by_host(EXIM, routes, ca=ca) as exim:
        yield EximSender(exim)


@contextlib.asynccontextmanager
async def _haraka(
    level: str, places: Mapping[str, HostAddress], ca: bytes
) -> AsyncIterator[Sender]:
    """Haraka's queue/smtp_forward: TLS where offered is the only level that our export has."""
    assert level == "may", ca
    with tempfile.TemporaryDirectory() as base:
        routes = "\n".join(export(places, ExportFor.HARAKA))
        async with haraka(Path(base), routes) as port:
            yield RelaySender(host="127.0.0.1", port=port, wait=_WAIT)


RELAYS = {
    "Postfix, `may`": (_postfix, "may"),
    "Postfix, `encrypt`": (_postfix, "encrypt"),
    "Postfix, `encrypt`, `>=TLSv1.2`": (partial(_postfix, modern=True), "encrypt"),
    "Postfix, `verify`": (_postfix, "verify"),
    "Postfix, `secure`": (_postfix, "secure"),
    "Exim, TLS where offered": (_exim, "may"),
    "Exim, `hosts_require_tls`": (_exim, "req"),
    "Exim, `hosts_require_tls`, TLS 1.2 at least": (_exim, "req12"),
    "Exim, `hosts_require_tls`, `tls_verify_hosts`": (_exim, "ver"),
    "Haraka, `queue/smtp_forward`": (_haraka, "may"),
}
OURS = {f"Relaylab, {setting.label}": setting for setting in TlsSetting}


async def evidence(relay: str, certificates: Path, state: Path) -> tuple[ScenarioRecord, ...]:
    """Send to every receiver through a relay, until each message has arrived or been given up."""
    async with Lab(LabAuthority(certificates), now=lambda: datetime.now(UTC)) as lab:
        for name in SCENARIOS:
            await lab.address(name)
        if relay in OURS:
            policy = f"tls: {OURS[relay].label}\nconnect_timeout: 2s\ncommand_timeout: 2s\n"
            sending = relay_sender(policy, lab, state)
        else:
            make, level = RELAYS[relay]
            sending = make(level, lab.endpoints, lab.authority.root_pem)
        async with sending as sender:
            marked = marked_messages(1, SCENARIOS, tuple(range(len(SCENARIOS))))
            # Under this claim nothing leaks, so that every scenario is played to its end.
            prover = Prover(lab, sender, TlsSetting.OFF, marked, wait=_WAIT)
            await prover.start()
            return await prover.run()


def cells(records: tuple[ScenarioRecord, ...]) -> dict[TlsSetting, str]:
    """Return what a proof says under each claim, in the words of the page's table."""
    return {claim: _cell(records, claim) for claim in list(TlsSetting)[1:]}


def _cell(records: tuple[ScenarioRecord, ...], claim: TlsSetting) -> str:
    again = judge_again(records, promises_of(claim), until=datetime.now(UTC))
    parts = []
    for verdict in (Verdict.LEAKED, Verdict.OVER_BLOCKED, Verdict.INCONCLUSIVE):
        names = [r.marked.scenario for r in again if r.proof.verdict is verdict]
        word = "LEAKED" if verdict is Verdict.LEAKED else verdict.value
        if len(names) > 4:
            names = [*names[:3], f"{len(names) - 3} more"]
        if names:
            parts.append(f"{word}: {', '.join(names)}")
    return "; ".join(parts) or "enforced"
