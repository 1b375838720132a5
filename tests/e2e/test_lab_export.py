"""What the exported text alone leads to the lab's receivers: a real Postfix, another relay."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from e2e_command import relay
from e2e_lab import lab_serving
from e2e_ports import free_run
from e2e_relay import Start
from judge_postfix_client import postfix_by_maps

from relay.journal.api import MessageRecord
from relay.lab.authority import LabAuthority
from relay.lab.catalogue import SCENARIOS
from relay.lab.exports import ExportFor, export
from relay.lab.lab import Lab
from relay.lab.layout import ports_from

MESSAGE = b"Subject: By an exported map\r\n\r\nx\r\n"


@pytest.mark.judge("postfix", root=True)
async def test_postfix_delivers_by_the_exported_maps(tmp_path: Path) -> None:
    """The transport map leads each domain to its receiver; the TLS policy map has it verified."""
    base = str(free_run(len(SCENARIOS)))
    maps = {}
    for target in ("postfix", "postfix-tls"):
        exported = relay(tmp_path, "lab", "export", "--for", target, "--base-port", base)
        assert exported.returncode == 0, exported.stderr
        maps[target] = exported.stdout.encode()
    with lab_serving(tmp_path, "--base-port", base, "--dns-port", "0") as lab:
        ca = Path(lab.ready["lab_root"]).read_bytes()
        async with postfix_by_maps(transport=maps["postfix"], tls=None, ca=ca) as client:
            for name in ("good", "no-starttls", "implicit-tls"):
                await client.submit(f"anyone@{name}.lab.test", MESSAGE)
                line = await client.until(f"anyone@{name}.lab.test", "status=")
                assert "status=sent" in line
                assert f"[127.0.0.1]:{lab.port(name)}" in line
        async with postfix_by_maps(
            transport=maps["postfix"], tls=maps["postfix-tls"], ca=ca
        ) as client:
            for name, result in (
                ("good", "sent"),
                ("no-starttls", "deferred"),
                ("expired", "deferred"),
            ):
                await client.submit(f"anyone@{name}.lab.test", MESSAGE)
                line = await client.until(f"anyone@{name}.lab.test", "status=")
                assert f"status={result}" in line
            assert "Verified TLS connection established to 127.0.0.1" in client.log


ALIKE = (
    *("good", "no-starttls", "expired", "wrong-host", "untrusted-root", "handshake-drop"),
    *("implicit-tls", "ip-address-host", "user-unknown", "revoked"),
)


async def test_another_relay_meets_the_lab_by_the_exported_policy(
    start: Start, tmp_path: Path, certificates: Path
) -> None:
    """It makes of each scenario what it makes of its own lab's, and its own lab sees nothing."""
    places = ports_from(free_run(len(SCENARIOS)))
    policy = "\n".join(export(places, ExportFor.RELAYLAB))
    authority = LabAuthority(certificates)
    ports = {name: place.port for name, place in places.items()}
    made: list[list[str]] = []
    async with Lab(authority, now=lambda: datetime.now(UTC), ports=ports) as far:
        for name in ALIKE:
            await far.address(name)
        for text in (policy, "tls: Required Verify"):
            async with start(text) as running:
                for name in ALIKE:
                    await running.send(f"anyone@{SCENARIOS[name].mail_domain}", mark=name)
                records = [running.record(name) for name in ALIKE]
                met = [name for name in ALIKE if running.lab.received(name)]
            made.append([outcome_words(record) for record in records])
            if text is policy:
                assert met == []
                assert [name for name in ALIKE if far.received(name)] == list(ALIKE)
        assert made[0] == made[1]
        assert len(far.messages("good")) == 1


def outcome_words(record: MessageRecord) -> str:
    """Return what became of a message, without what only one host calls itself."""
    (bounce,) = record.bounces or (None,)
    if bounce is None:
        return record.recipients[0].state.value
    faults = " ".join(fault.kind.value for fault in bounce.faults)
    return f"{bounce.status} {bounce.text} {faults}"
