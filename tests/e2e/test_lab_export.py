"""A real Postfix that the exported maps alone lead to the lab's receivers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from e2e_command import relay
from e2e_lab import lab_serving
from e2e_ports import free_run

from relay.lab.catalogue import SCENARIOS

sys.path.append(str(Path(__file__).parents[1] / "judges"))  # the Postfix that sends

from judge_postfix_client import postfix_by_maps

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
