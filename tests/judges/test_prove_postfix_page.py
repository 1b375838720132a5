"""docs/prove-postfix.md, command by command, on a real Postfix."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from e2e_command import RELAY, environment
from e2e_ports import free_port, free_run
from e2e_postfix import MASTER, started
from judge_postfix_client import IN, MAIN, SMTP
from page_commands import REPOSITORY, Command, Ran, commands, differs

from relay.lab.catalogue import LAB_SCENARIOS

PAGE = (REPOSITORY / "docs/prove-postfix.md").read_text("utf-8")
LEAK = 1


def here(one: Command, base: Path, *, port: int, lab: int) -> str:
    """Return a command for this Postfix, which is not the machine's, and for these ports."""
    command = one.text.replace("/etc/postfix", str(base / "conf"))
    for word in ("postconf", "postfix"):
        command = command.replace(f"{word} -", f"{word} -c {base}/conf -")
        command = command.replace(f"{word} reload", f"{word} -c {base}/conf reload")
    for words in ("relay lab export", "relay prove"):
        command = command.replace(words, f"{words} --base-port {lab}")
    return command.replace("127.0.0.1:25", f"127.0.0.1:{port}")


async def run(command: str, directory: Path) -> tuple[int, str]:
    ours = environment(directory / "state")
    ours["PATH"] = f"{Path(RELAY).parent}:{os.environ['PATH']}:/usr/sbin"
    process = await asyncio.create_subprocess_shell(
        command, cwd=directory, env=ours,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.judge("postfix", root=True)
async def test_postfix_is_proved_as_the_page_says(tmp_path: Path) -> None:
    told = [one for block in commands(PAGE) for one in block]
    proofs = [one for one in told if one.text.startswith("relay prove")]
    assert (len(told), len(proofs)) == (16, 2)
    port, lab = free_port(), free_run(len(LAB_SCENARIOS))
    master = MASTER + SMTP + IN.replace("PORT", str(port))
    files = {"ca.pem": b""}
    async with started(MAIN, master, files=files, ports=[port]) as base:
        before = (base / "conf/main.cf").read_text()
        for one in told:
            code, said = await run(here(one, base, port=port, lab=lab), tmp_path)
            assert code == (LEAK if one is proofs[0] else 0), (one.text, said)
            assert differs(Ran(command=one, code=code, output=said)) is None, said
        after = (base / "conf/main.cf").read_text()
        assert not (base / "conf/relaylab").exists()
    assert (tmp_path / "proof.html").exists()
    assert (tmp_path / "proof.json").exists()
    # What the page leaves: the level that was proved, and what was there before.
    kept = {line for line in after.splitlines() if line} - set(before.splitlines())
    assert kept == {
        "smtp_tls_security_level = encrypt",
        "smtp_tls_mandatory_protocols = >=TLSv1.2",
    }
