"""What-if against what was, with several hosts, exceptions, email relays and log-ins.

The policies are random, the receivers real: a forecast may be unknown, and it may never be wrong.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import aiosmtplib
import pytest

from relay.audit.forecast import Forecast, Passes, Refused, Unknown, forecast
from relay.audit.on_record import Gathering, Records
from relay.config.policy_file import load_policy_text
from relay.core.addresses import parse_domain
from relay.core.delivery import Policy
from relay.core.outcomes import Delivered
from relay.core.records import Attempt
from relay.core.verdicts import Deliver
from relay.engine.relay import Relay, RelayOptions
from relay.inbound.listeners import ListenerConfig, ListenerKind
from relay.lab.authority import LabAuthority
from relay.lab.lab import Lab
from relay.tls.trust import TrustStores

SETTINGS = ("Off", "Preferred", "Preferred Verify", "Required", "Required Verify")
HOSTS = (
    *("good", "tls13", "no-starttls", "ehlo-refused", "starttls-refused", "starttls-421"),
    *("handshake-drop", "starttls-injection", "tls11-only", "requires-client-certificate"),
    *("expired", "self-signed", "wrong-host", "domain-not-host", "implicit-tls"),
    *("greeting-554", "greeting-421", "user-unknown", "some-recipients", "data-451", "data-drop"),
    *("auth-required", "auth-fails"),
)
RECIPIENTS = ("anyone@cluster.test", "unknown-one@cluster.test", "anyone@twin.test")


@dataclass(frozen=True, slots=True)
class Played:
    """Mail under one policy: what was recorded, what it says, and what became of each recipient."""

    policy: Policy
    known: Records
    attempts: dict[str, tuple[Attempt, ...]]
    codes: dict[str, str | None]


def random_policy(rng: random.Random, hosts: str, relay: str | None) -> str:
    setting = rng.choice(SETTINGS)
    lines = [
        f"tls: {setting}",
        "connect_timeout: 2s",
        "command_timeout: 2s",
        f"clear_text: {rng.choice(['after-all-hosts', 'same-host'])}",
        f"minimum_tls: {rng.choice(['1.1', '1.2', '1.2', '1.3'])}",
        f"reuse: {rng.choice(['on', 'off'])}",
        f"routes: [{{match: cluster.test, to: [{hosts}]}}, {{match: twin.test, to: [{hosts}]}}]",
    ]
    exception = rng.random()
    if exception < 0.3 and setting.startswith("Required"):
        lines.append("restrict_tls_to: cluster.test")
    elif exception < 0.6:
        lines.append(f"rules: [{{match: twin.test, tls: {rng.choice(SETTINGS)}}}]")
    if relay is not None:
        login = ", auth: {mechanism: PLAIN, username: u, password: p}"
        tls = rng.choice([*SETTINGS, *[f"Required Verify{login}"] * 4])
        lines += [
            f"email_relays: [{{name: front, host: lab/{relay}, tls: {tls}}}]",
            "domain_filters: [{relay: front, to: cluster.test}]",
        ]
    return "\n".join(lines) + "\n"


async def play(lab: Lab, text: str, journal: Path, *, together: bool) -> Played:
    """Send to all recipients, those of one domain in one message or each in its own."""
    policy = load_policy_text(text, name="p.yaml")
    options = RelayOptions(
        listeners=(ListenerConfig(kind=ListenerKind.SMTP, host="127.0.0.1", port=0),),
        journal=journal,
        bounce_lines=None,
        certificates=lab.authority.root_path.parent,
    )
    groups = [RECIPIENTS[:2], RECIPIENTS[2:]] if together else [(r,) for r in RECIPIENTS]
    attempts: dict[str, tuple[Attempt, ...]] = {}
    codes: dict[str, str | None] = {}
    async with Relay(policy, options, lab=lab) as relay:
        endpoint = relay.endpoints[0]
        for group in groups:
            client = aiosmtplib.SMTP(hostname=endpoint.host, port=endpoint.port, start_tls=False)
            async with client:
                await client.mail("sender@example.test")
                for recipient in group:
                    await client.rcpt(recipient)
                # What became of each recipient is read from the record.
                with contextlib.suppress(aiosmtplib.SMTPResponseException):
                    await client.data(b"Subject: x\r\n\r\nhello\r\n")
        gathering = Gathering()
        for recipient in RECIPIENTS:
            (found,) = relay.journal.messages(2, recipient=recipient)
            record = relay.journal.message(found.envelope.id)
            assert record is not None
            tried = tuple(a for a in record.attempts if a.tried(recipient))
            attempts[recipient] = tried
            bounced = [b for b in record.bounces if b.recipient == recipient]
            codes[recipient] = str(bounced[-1].status) if bounced else None
        for attempt in {a.id: a for tried in attempts.values() for a in tried}.values():
            gathering.add(attempt)
        known = Records(gathering.records(relay.journal.session))
    return Played(policy=policy, known=known, attempts=attempts, codes=codes)


def is_true(told: Forecast, played: Played, recipient: str) -> bool:
    """Compare with what happened: where it went and how, or the code that came back."""
    tried, code = played.attempts[recipient], played.codes[recipient]
    admitted = [(a.hop, a.verdict.protection) for a in tried if isinstance(a.verdict, Deliver)]
    last = tried[-1].tried(recipient)
    assert last is not None
    match told:
        case Passes(hop=hop, protection=protection, delivered=delivered):
            if isinstance(last.outcome, Delivered):
                return (hop, protection) == admitted[-1]
            return not delivered and (hop, protection) in admitted
        case Refused(entry=entry):
            return str(entry.status) == code
        case Unknown():
            return True
        case _:
            return False


@pytest.mark.timeout(300)
async def test_no_forecast_is_wrong(certificates: Path, lab: Lab, tmp_path: Path) -> None:
    authority = LabAuthority(certificates)
    stores = TrustStores(
        lambda: authority.root_pem, lab_intermediates=lambda: authority.intermediates_pem
    )
    kinds: Counter[str] = Counter()
    for seed in range(12):
        rng = random.Random(seed)
        hosts = ", ".join(f"lab/{name}" for name in rng.sample(HOSTS, rng.choice([1, 2, 3])))
        relay = rng.choice([None, "auth-required", "auth-fails", *rng.sample(HOSTS, 2)])
        texts = [random_policy(rng, hosts, relay) for _ in range(3)]
        played = [
            await play(lab, text, tmp_path / f"{seed}-{number}", together=bool(seed % 2))
            for number, text in enumerate(texts)
        ]
        for at, now in enumerate(played):
            for then_at, then in enumerate(played):
                for recipient in RECIPIENTS:
                    for asked in (recipient, None):
                        told = forecast(
                            now.known,
                            then.policy,
                            domain=parse_domain(recipient.partition("@")[2]),
                            recipient=asked,
                            stores=stores,
                        )
                        kinds[told.kind] += 1
                        assert is_true(told, then, recipient), (
                            f"{told}\n{recipient}, {asked}\n{texts[at]}\n{texts[then_at]}"
                            f"\n{then.attempts[recipient]}"
                        )
    assert kinds["passes"] > kinds["unknown"] > 0
    assert kinds["refused"] > kinds["unknown"]
