"""The walk of docs/prove-salesforce.md: its commands, with Postfix in Salesforce's place."""

from __future__ import annotations

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from e2e_command import RELAY, environment
from e2e_ports import free_port
from e2e_relay import text_message
from judge_postfix_client import postfix_at_level

from relay.audit.proof import Verdict
from relay.audit.proof_file import load

PAGE = Path(__file__).parents[2] / "docs/prove-salesforce.md"
MODERN = "smtp_tls_mandatory_protocols = >=TLSv1.2\n"


def commands() -> list[list[str]]:
    """Return the page's commands, word by word, without `relay`."""
    text = PAGE.read_text().replace("\\\n", " ")
    return [shlex.split(line)[1:] for line in re.findall(r"^\$ (relay .*)$", text, re.MULTILINE)]


def here(words: list[str], ports: list[int]) -> list[str]:
    """Return the command that listens, but on this machine's loopback and for less than a day."""
    changed = {
        "203.0.113.10": "127.0.0.1",
        "25,587,10025,11025": ",".join(map(str, ports)),
        "24h": "60s",
    }
    assert changed.keys() <= set(words)
    return [changed.get(word, word) for word in words if word != "--allow-external"]


def test_the_page_names_the_commands_that_are_run() -> None:
    listen, told, again = commands()
    assert listen[:2] == ["prove", "--listen"]
    assert told[:2] == again[:2] == ["prove", "--verify"]


@pytest.mark.judge("postfix", root=True)
@pytest.mark.parametrize(
    ("level", "verdict", "code"),
    [("encrypt", Verdict.ENFORCED, 0), ("may", Verdict.LEAKED, 1)],
)
async def test_the_walk(tmp_path: Path, level: str, verdict: Verdict, code: int) -> None:
    listen, told, again = commands()
    ports = [free_port() for _ in range(4)]
    process = await asyncio.create_subprocess_exec(
        RELAY, *here(listen, ports),
        env=environment(tmp_path / "state"), cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        printed = await asyncio.wait_for(process.stderr.readuntil(b"Ctrl-C"), 30)
        found = re.findall(
            r"^  (\S+): host prove\.example\.com, port (\d+)\n    (\S+@(\S+))$",
            printed.decode(),
            re.MULTILINE,
        )
        assert [int(port) for _, port, _, _ in found] == ports
        transport = "".join(f"{domain} smtp:[127.0.0.1]:{port}\n" for _, port, _, domain in found)
        root = (tmp_path / "state/certs/lab-root.pem").read_bytes()
        async with postfix_at_level(
            level, transport=transport.encode(), ca=root, more=MODERN
        ) as postfix:
            for _, _, address, _ in found:
                await postfix.submit(address, text_message(address))
            out, err = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == code, (out, err)
    proof = load((tmp_path / "proof.json").read_text()).proof
    assert {r.marked.scenario: r.proof.verdict for r in proof.scenarios} == {
        "good": Verdict.ENFORCED,
        "no-starttls": verdict,
        "starttls-refused": verdict,
        "handshake-drop": verdict,
    }
    assert "<script" not in (page := (tmp_path / "proof.html").read_text())
    assert proof.run in page
    for words in (again, told):
        ended = await asyncio.create_subprocess_exec(
            RELAY, *words, env=environment(tmp_path / "state"), cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        said, _ = await ended.communicate()
        assert ended.returncode == code, said
        assert b"Verified: the digest fits" in said
    # The operator's word hides no leak.
    after = load((tmp_path / "told.json").read_text()).proof
    assert {r.proof.verdict for r in after.scenarios} == {Verdict.ENFORCED, verdict}
